from hashlib import blake2b

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from recommender_assets.training.hold_out import hold_out_mask
from tests.matrices import events_table, matrix_from, movielens_matrix, random_matrix


def held_out_pairs(matrix, share: float) -> set[tuple[str, str]]:
    mask = hold_out_mask(matrix, share)
    user, item = matrix.observations.user_of_row()[mask], matrix.observations.item[mask]
    return {(matrix.user_ids[u], matrix.item_ids[i]) for u, i in zip(user, item, strict=True)}


def test_known_pairs_stay_held_out_for_ever():
    rows = [(f"u{u}", f"i{i}", "rating", 3.0) for u in range(4) for i in range(5)]

    found = held_out_pairs(matrix_from(events_table(rows)), 0.1)

    assert found == {("u0", "i4"), ("u1", "i4"), ("u3", "i1")}


def test_membership_survives_new_users_items_and_another_row_order():
    rows = [(f"u{u}", f"i{i}", "rating", 3.0) for u in range(20) for i in range(20)]
    more = [(f"{u}", f"a{i}", "rating", 3.0) for u in range(20) for i in range(10)]
    before = held_out_pairs(matrix_from(events_table(rows)), 0.1)

    after = held_out_pairs(matrix_from(events_table(more + rows[::-1])), 0.1)

    assert before
    assert {(user, item) for user, item in after if user.startswith("u") and item.startswith("i")} == before


def test_a_greater_share_only_adds_pairs():
    matrix = random_matrix()

    assert held_out_pairs(matrix, 0.1) < held_out_pairs(matrix, 0.3)


@pytest.mark.parametrize("share", [0.1, 0.25])
def test_the_share_is_met_and_neither_users_nor_items_are_preferred(share):
    matrix = movielens_matrix()
    mask = hold_out_mask(matrix, share)

    assert mask.mean() == pytest.approx(share, abs=0.004)
    for index, n in ((matrix.observations.user_of_row(), matrix.n_users), (matrix.observations.item, matrix.n_items)):
        rows = np.bincount(index, minlength=n)
        often = rows >= 50
        held_out = np.bincount(index[mask], minlength=n)[often]
        standardised = (held_out - share * rows[often]) / np.sqrt(share * (1 - share) * rows[often])
        assert stats.kstest(standardised, "norm").pvalue > 1e-4


def test_a_user_and_an_item_of_one_name_are_told_apart():
    rows = [(str(a), str(b), "rating", 3.0) for a in range(60) for b in range(60)]

    pairs = held_out_pairs(matrix_from(events_table(rows)), 0.5)

    assert any((b, a) not in pairs for a, b in pairs)


ID = st.text(alphabet="ab0|é\0", max_size=3)
PAIRS = st.lists(st.tuples(ID, ID), unique=True, min_size=1, max_size=12)


@settings(max_examples=50, deadline=None)
@given(PAIRS, PAIRS, st.floats(0.05, 0.95))
def test_membership_is_a_matter_of_the_pair_alone(pairs, others, share):
    one, both = (
        held_out_pairs(matrix_from(events_table([(u, i, kind, None) for u, i in chosen])), share)
        for chosen, kind in ((pairs, "view"), (dict.fromkeys(others[::-1] + pairs), "purchase"))
    )

    assert {pair for pair in both if pair in pairs} == one


def naive_uniform(user: str, item: str) -> float:
    def digest(text: str, key: bytes) -> int:
        return int.from_bytes(blake2b(text.encode(), digest_size=8, key=key).digest(), "little")

    def splitmix(state: int) -> int:
        word = 2**64 - 1
        mixed = (state + 0x9E3779B97F4A7C15) & word
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & word
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & word
        return mixed ^ (mixed >> 31)

    combined = splitmix(splitmix(digest(user, b"hold-out user")) ^ digest(item, b"hold-out item"))
    return (combined >> 11) / 2**53


def test_equals_the_hash_in_whole_numbers():
    matrix = random_matrix(n_users=12, n_items=10)

    pairs = zip(matrix.observations.user_of_row(), matrix.observations.item, strict=True)
    expected = [naive_uniform(matrix.user_ids[u], matrix.item_ids[i]) < 0.4 for u, i in pairs]

    assert hold_out_mask(matrix, 0.4).tolist() == expected
    assert 0 < sum(expected) < len(expected)


def test_no_share_and_the_whole_share():
    matrix = random_matrix()

    assert not hold_out_mask(matrix, 0.0).any()
    assert hold_out_mask(matrix, 1.0).all()


def test_a_new_rating_of_a_held_out_pair_stays_held_out():
    rows = [(f"u{u}", f"i{i}", "view", None) for u in range(10) for i in range(10)]
    rated_later = [(u, i, "rating", 4.0) for u, i, *_ in rows]

    assert held_out_pairs(matrix_from(events_table(rows)), 0.2) == held_out_pairs(
        matrix_from(events_table(rows + rated_later)), 0.2
    )
