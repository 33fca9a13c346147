import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recommender_assets.evaluation.measures.lists import relevance, unseen_lists
from tests.splits import items_of, observations_with

USERS = st.lists(st.lists(st.integers(0, 11), unique=True, max_size=12), min_size=1, max_size=6)


@given(USERS, st.integers(1, 15), st.integers(0, 9))
def test_lists_hold_the_best_unseen_items_and_relevance_is_membership(users, n, seed):
    seen = observations_with(*([(item, 1.0) for item in items] for items in users))
    wanted = observations_with(*([(11 - item, 1.0) for item in items] for items in users))
    scores = np.random.default_rng(seed).random((len(users), 12)).astype(np.float32)

    lists = unseen_lists(lambda chosen: scores[chosen].copy(), seen, 12, n)
    found = relevance(lists, wanted, 12)

    for user, items in enumerate(users):
        unseen = sorted(set(range(12)) - set(items), key=lambda item: -scores[user, item])[:n]
        assert lists[user].tolist() == unseen + [-1] * (n - len(unseen))
        expected = [item in items_of(wanted, user) for item in lists[user].tolist()]
        assert found.is_relevant[user].tolist() == expected
        assert found.n_relevant[user] == len(items)


def test_nothing_is_relevant_where_nothing_is_held_out():
    nothing = observations_with([], [])

    found = relevance(np.array([[0, -1], [1, 0]]), nothing, 3)

    assert not found.is_relevant.any()
    assert found.n_relevant.tolist() == [0, 0]
