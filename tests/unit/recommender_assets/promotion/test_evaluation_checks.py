from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from recommender_assets.promotion.candidates import candidate_directory
from recommender_assets.promotion.contest import save_contest
from recommender_assets.promotion.evaluation_checks import (
    evaluation_beats_floors,
    no_contender_trained_on_the_hold_out,
)
from recommender_assets.promotion.standing import Standing
from recommender_assets.settings import Settings, load_settings
from recommender_serving.engine.champion_pointer import version_directory
from recommender_serving.engine.factor_model import write_model
from tests.contests import contest, standing
from tests.factories import make_model


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(environ={"RECOMMENDER__STORAGE__ROOT": str(tmp_path)})


def hold(settings: Settings, *candidates: Standing, champion: Standing | None = None) -> None:
    save_contest(settings.root, contest(candidates, champion))


def test_one_candidate_above_its_floors_is_enough(settings: Settings) -> None:
    hold(settings, standing("svd-1", 1.1), standing("nmf-1", 0.9))
    result = evaluation_beats_floors(settings)
    assert result.passed
    assert result.numbers["nmf-1"] == "beats its floors"
    assert result.numbers["svd-1"] == "rmse 1.1000 does not beat its floor item_mean 0.9800"


def test_none_above_its_floors_stops_the_run(settings: Settings) -> None:
    hold(settings, standing("svd-1", 1.1), standing("nmf-1", 0.9, ndcg=0.1))
    result = evaluation_beats_floors(settings)
    assert not result.passed
    assert "svd-1: rmse" in result.reason
    assert "nmf-1: catalogue_ndcg_at_10" in result.reason


def test_a_better_champion_is_no_reason_to_stop(settings: Settings) -> None:
    hold(settings, standing("svd-2", 0.9), champion=standing("svd-1", 0.5))
    assert evaluation_beats_floors(settings).passed


def on_disk(directory: Path, version: str, share: float | None) -> None:
    model = make_model(version=version)
    recorded = {} if share is None else {"hold_out_share": share}
    manifest = msgspec.structs.replace(model.manifest, hyper_parameters=recorded)
    directory.parent.mkdir(parents=True, exist_ok=True)
    write_model(directory, replace(model, manifest=manifest))


@pytest.mark.parametrize(
    ("of_candidate", "of_champion", "problem"),
    [
        (0.1, 0.1, None),
        (0.3, 0.2, None),
        (0.05, 0.1, "svd-2 left 0.05 of all pairs out of its training, the hold-out is 0.1"),
        (0.1, 0.09, "svd-1 left 0.09 of all pairs out of its training, the hold-out is 0.1"),
        (None, 0.1, "model svd-2: hyper_parameters.hold_out_share must lie between 0 and 1, got None"),
    ],
)
def test_training_on_the_hold_out_is_found(
    settings: Settings, of_candidate: float | None, of_champion: float, problem: str | None
) -> None:
    on_disk(candidate_directory(settings.root, "svd-2"), "svd-2", of_candidate)
    on_disk(version_directory(settings.root, "svd-1"), "svd-1", of_champion)
    hold(settings, standing("svd-2", 0.9), champion=standing("svd-1", 0.9))
    result = no_contender_trained_on_the_hold_out(settings)
    assert (result.passed, result.reason) == (problem is None, problem or "")


def test_a_contender_that_is_gone_cannot_show_what_it_trained_on(settings: Settings) -> None:
    hold(settings, standing("svd-2", 0.9))
    result = no_contender_trained_on_the_hold_out(settings)
    assert not result.passed
    assert "svd-2" in result.reason


def test_without_an_evaluation_nothing_holds(settings: Settings) -> None:
    for check in (evaluation_beats_floors, no_contender_trained_on_the_hold_out):
        fact = check(settings)
        assert not fact.passed
        assert "contest.json" in fact.reason
