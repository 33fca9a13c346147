from hypothesis import given
from hypothesis import strategies as st

from recommender_serving.rendered_list import RenderedList
from recommender_serving.user_cache import UserCache


def rendered(size: int) -> RenderedList:
    return RenderedList("popular", (), None, bytes(size))


def filled(capacity: int, *user_ids: str) -> UserCache[str]:
    cache: UserCache[str] = UserCache(capacity)
    for user_id in user_ids:
        cache.put(user_id, f"state of {user_id}", version=1, state_bytes=0)
    return cache


def test_the_user_that_was_not_asked_for_longest_goes_first() -> None:
    cache = filled(4_000, "a", "b", "c")
    assert cache.get("a") is not None
    cache.put("d", "state of d", version=1, state_bytes=0)
    assert cache.get("b") is None
    assert [user.state for user_id in "acd" if (user := cache.get(user_id))] == [f"state of {u}" for u in "acd"]


def test_a_new_state_drops_the_lists_of_the_old_one() -> None:
    cache = filled(10_000, "a")
    old = cache.get("a")
    assert old is not None
    cache.add_list("a", old, (10, True), rendered(0))
    new = cache.put("a", "newer", version=2, state_bytes=0)
    assert new.lists == {}
    cache.add_list("a", old, (5, True), rendered(0))
    assert cache.get("a") is new
    assert new.lists == {}


def test_lists_and_arrays_count() -> None:
    cache = filled(10_000, "a", "b")
    user = cache.get("a")
    assert user is not None
    cache.add_list("a", user, (10, True), rendered(9_000))
    assert len(cache) == 1, "the list took the room of both users"
    assert cache.get("a") is user, "and the user who was asked for last stays, even alone"
    cache.put("c", "large", version=0, state_bytes=9_000)
    assert cache.get("a") is None


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 3), st.integers(0, 3_000)), max_size=60))
def test_the_size_is_that_of_the_entries_and_bounded(actions: list[tuple[str, int, int]]) -> None:
    cache: UserCache[int] = UserCache(8_000)
    for user_id, action, size in actions:
        user = cache.get(user_id)
        if action and user is not None:
            cache.add_list(user_id, user, (action, True), rendered(size))
        else:
            cache.put(user_id, action, version=0, state_bytes=size)
        assert cache.size == sum(entry.size for entry in cache._users.values())
        assert cache.size <= 8_000 or len(cache) == 1
