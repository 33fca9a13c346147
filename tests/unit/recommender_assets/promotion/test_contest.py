import datetime as dt
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender_assets.evaluation.interval import Interval
from recommender_assets.promotion.contest import Contest, load_contest, save_contest
from recommender_assets.promotion.decisions import DecisionRecord, latest_decision, record_decision
from recommender_assets.promotion.policy import Decision, Verdict, decide
from recommender_assets.promotion.standing import Standing
from recommender_assets.settings import PromotionSettings
from recommender_serving.engine.factor_model import Position


def contest(champion: Standing | None = None) -> Contest:
    candidate = Standing(
        version="svd-2",
        algorithm="svd",
        metrics={"rmse": 0.87, "catalogue_ndcg_at_10": 0.35},
        floors={"rmse": {"item_mean": 0.98}},
    )
    position = Position(topic="events", topic_id="t", next_offsets={"0": 7})
    return Contest(position=position, hold_out=10, candidates=(candidate,), champion=champion, protocols={"rmse": "p"})


def test_a_contest_survives_the_disk(tmp_path: Path) -> None:
    save_contest(tmp_path, contest())
    assert load_contest(tmp_path) == contest()


def test_the_champion_is_a_contender_unless_it_is_a_candidate_itself() -> None:
    older = Standing(version="svd-1", algorithm="svd", metrics={"rmse": 0.9})
    assert [c.version for c in contest(older).contenders] == ["svd-2", "svd-1"]
    assert [c.version for c in contest(contest().candidates[0]).contenders] == ["svd-2"]
    assert [c.version for c in contest().contenders] == ["svd-2"]


def test_every_decision_is_kept_with_its_numbers_and_the_newest_is_found(tmp_path: Path) -> None:
    assert latest_decision(tmp_path) is None
    decision = decide(contest(), PromotionSettings())
    first = record_decision(tmp_path, contest(), decision)
    champion = contest().candidates[0]
    again = decide(contest(champion), PromotionSettings())
    record_decision(tmp_path, contest(champion), again)
    assert first.exists()
    latest = latest_decision(tmp_path)
    assert latest is not None
    assert (latest.decision, latest.contest) == (again, contest(champion))
    assert len(list(first.parent.iterdir())) == 2


def test_an_evaluation_is_needed_first(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_contest(tmp_path)


def test_the_latest_contest_replaces_the_one_before(tmp_path: Path) -> None:
    older = Standing(version="svd-1", algorithm="svd", metrics={"rmse": 0.9})
    first = save_contest(tmp_path, contest())
    assert save_contest(tmp_path, contest(older)) == first
    assert load_contest(tmp_path) == contest(older)
    assert [path.name for path in first.parent.iterdir()] == ["contest.json"]


def test_an_interrupted_writing_leaves_the_contest_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def power_cut(*_: object) -> None:
        raise OSError("the power went")

    path = save_contest(tmp_path, contest())
    older = Standing(version="svd-1", algorithm="svd", metrics={"rmse": 0.9})
    with monkeypatch.context() as patch:
        patch.setattr("recommender_serving.engine.atomic_files.sync", power_cut)
        with pytest.raises(OSError, match="the power went"):
            save_contest(tmp_path, contest(older))
    assert load_contest(tmp_path) == contest()
    assert list(path.parent.iterdir()) == [path]


@given(
    metrics=st.dictionaries(st.text(min_size=1), st.floats(allow_nan=False, allow_infinity=False)),
    offsets=st.dictionaries(st.integers(0, 50).map(str), st.integers(0, 2**53)),
    reason=st.text(),
    objections=st.lists(st.text(), max_size=2).map(tuple),
    gain=st.none() | st.builds(Interval, *[st.floats(-1, 1)] * 3),
)
def test_any_record_survives_the_disk(
    metrics: dict[str, float],
    offsets: dict[str, int],
    reason: str,
    objections: tuple[str, ...],
    gain: Interval | None,
) -> None:
    standing = Standing(version="svd-2", algorithm="svd", metrics=metrics, floors={"rmse": metrics})
    position = Position(table_versions={"items": 3}, topic="events", topic_id="t", next_offsets=offsets)
    held = Contest(position=position, hold_out=3, candidates=(standing,), champion=standing, protocols={"rmse": reason})
    verdict = Verdict(version="svd-2", algorithm="svd", is_sound=True, objections=objections, gain=gain)
    decision = Decision(promoted=True, champion="svd-2", predecessor="svd-1", reason=reason, verdicts=(verdict,))
    with tempfile.TemporaryDirectory() as folder:
        save_contest(Path(folder), held)
        assert load_contest(Path(folder)) == held
        path = record_decision(Path(folder), held, decision)
        latest = latest_decision(Path(folder))
        assert latest is not None
        assert (latest.contest, latest.decision) == (held, decision)
        written_at = dt.datetime.fromisoformat(latest.decided_at)
        assert path.name == f"{written_at:%Y%m%dT%H%M%S.%fZ}.json"
        assert written_at.utcoffset() == dt.timedelta(0)


def test_the_latest_decision_is_the_last_by_name_and_nothing_else(tmp_path: Path) -> None:
    decision = decide(contest(), PromotionSettings())
    path = record_decision(tmp_path, contest(), decision)
    record = msgspec.json.decode(path.read_bytes(), type=DecisionRecord)
    for name, reason in [
        ("20991231T235959.999999Z.json", "last"),
        ("20991231T235959.000001Z.json", "a second earlier, written later"),
        ("20000101T000000.000000Z.json", "oldest, written last"),
    ]:
        other = msgspec.structs.replace(record, decision=msgspec.structs.replace(decision, reason=reason))
        (path.parent / name).write_bytes(msgspec.json.encode(other))
    (path.parent / ".29991231T000000.000000Z.json.0f.tmp").write_bytes(b"{")
    (path.parent / "notes.json").write_bytes(b"not a decision")
    latest = latest_decision(tmp_path)
    assert latest is not None
    assert latest.decision.reason == "last"
