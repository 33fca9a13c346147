from pathlib import Path

import pytest

from recommender_serving.engine.forgotten_users import (
    DamagedListError,
    ForgottenUser,
    forgets_after,
    forgotten_users_path,
    read_forgotten_users,
    write_forgotten_users,
)

USERS = [ForgottenUser("ü", "t", 0, 7, 5), ForgottenUser("b", "t", 1, 7, 6), ForgottenUser("c", "other", 0, 9, 7)]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert read_forgotten_users(tmp_path) == []
    for users in (USERS, USERS[:1], []):
        write_forgotten_users(tmp_path, users)
        assert read_forgotten_users(tmp_path) == users


@pytest.mark.parametrize("content", [b"", b"{}", b"[[1]]", b'[["u","t",0]]', b"\xff"])
def test_anything_else_is_refused(tmp_path: Path, content: bytes) -> None:
    write_forgotten_users(tmp_path, [])
    forgotten_users_path(tmp_path).write_bytes(content)
    with pytest.raises(DamagedListError, match=r"FORGOTTEN\.json"):
        read_forgotten_users(tmp_path)


@pytest.mark.parametrize(
    ("start", "users"),
    [({}, ["ü", "b"]), ({0: 7, 1: 7}, ["ü", "b"]), ({0: 8, 1: 7}, ["b"]), ({0: 8}, ["b"]), ({0: 8, 1: 8}, [])],
)
def test_only_what_a_model_does_not_hold_yet_is_applied(start: dict[int, int], users: list[str]) -> None:
    forgets = list(forgets_after(USERS, "t", start))
    assert [forget.event.user_id for forget in forgets] == users
    assert all(forget.event.event_type == "forget" and forget.offset == 7 for forget in forgets)
