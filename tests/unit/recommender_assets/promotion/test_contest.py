from pathlib import Path

from recommender_assets.promotion.contest import Contest, latest_decision, load_contest, record_decision, save_contest
from recommender_assets.promotion.policy import Standing, decide
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
    decision = decide(contest().candidates, None, PromotionSettings())
    first = record_decision(tmp_path, contest(), decision)
    champion = contest().candidates[0]
    again = decide(contest().candidates, champion, PromotionSettings())
    record_decision(tmp_path, contest(champion), again)
    assert first.exists()
    latest = latest_decision(tmp_path)
    assert latest is not None
    assert (latest.decision, latest.contest) == (again, contest(champion))
    assert len(list(first.parent.iterdir())) == 2
