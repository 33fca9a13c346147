import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender_serving.engine import change_journal
from recommender_serving.engine.change_journal import ChangeJournal


@given(st.lists(st.sampled_from("abcd"), max_size=30), st.integers(0, 40), st.integers(0, 10))
def test_the_journal_answers_like_the_list_of_all_changes(changes: list[str], since: int, taken: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(change_journal, "_TRIMMED_AT_ONCE", 3)
        journal, versions, silent = ChangeJournal(), dict[str, int](), list[str | None]()
        for number, user_id in enumerate(changes, start=1):
            assert journal.add(user_id) == number
            versions[user_id] = number
        order = sorted(versions, key=lambda user_id: versions[user_id])
        silent = [journal.next_silent(versions) for _ in range(taken)]
        assert silent == [*order, *[None] * taken][:taken]
        assert journal.last == len(changes)
        changed = journal.since(since)
        if changed is not None:
            assert changed == list(dict.fromkeys(changes[since:]))
        else:
            assert taken


def test_what_is_handed_out_is_let_go_of() -> None:
    journal = ChangeJournal()
    for number in range(200_000):
        journal.add(str(number))
        if number >= 10:
            journal.next_silent({str(number - 10): number - 9})
        assert len(journal) <= 11
    assert len(journal._users) < 2 * 65_536
    assert journal.since(0) is None
