import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender_assets.evaluation.interval import Interval
from recommender_assets.promotion.contest import Contest, Difference, load_contest, save_contest
from recommender_assets.promotion.standing import Standing
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
    interval=st.builds(Interval, *[st.floats(-1, 1)] * 3),
)
def test_any_record_survives_the_disk(
    metrics: dict[str, float],
    offsets: dict[str, int],
    reason: str,
    interval: Interval,
) -> None:
    standing = Standing(version="svd-2", algorithm="svd", metrics=metrics, floors={"rmse": metrics})
    position = Position(table_versions={"items": 3}, topic="events", topic_id="t", next_offsets=offsets)
    difference = Difference(left="svd-2", right="svd-1", metrics={"rmse": interval})
    held = Contest(
        position=position,
        hold_out=3,
        candidates=(standing,),
        champion=standing,
        protocols={"rmse": reason},
        differences=(difference,),
    )
    with tempfile.TemporaryDirectory() as folder:
        save_contest(Path(folder), held)
        assert load_contest(Path(folder)) == held
