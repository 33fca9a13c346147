import shutil
from dataclasses import replace
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import pytest

from recommender_assets.evaluation.evaluation import evaluate
from recommender_assets.features.matrix import load_matrix, matrix_directory, save_matrix
from recommender_assets.promotion.candidates import ALGORITHMS, candidate_directory
from recommender_assets.promotion.contenders import Candidate, hold_contest, train_candidate
from recommender_assets.promotion.leakage import leaks
from recommender_assets.promotion.policy import Decision, Verdict, decide
from recommender_assets.promotion.publication import publish
from recommender_assets.promotion.recorded_hold_out import UnknownHoldOutError
from recommender_assets.settings import ModelsSettings, NmfSettings, Settings, SvdSettings, load_settings
from recommender_assets.training.hold_out import hold_out_mask
from recommender_assets.training.progress import silent
from recommender_serving.engine.champion_pointer import version_directory
from recommender_serving.engine.factor_model import Position, read_model, write_model
from tests.factories import make_model
from tests.matrices import random_matrix


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = load_settings(environ={"RECOMMENDER__STORAGE__ROOT": str(tmp_path)})
    models = ModelsSettings(svd=SvdSettings(factors=4, epochs=3), nmf=NmfSettings(factors=4, iterations=2))
    save_matrix(matrix_directory(tmp_path), random_matrix())
    return msgspec.structs.replace(settings, models=models)


def test_candidates_and_champion_are_measured_on_the_same_hold_out(settings: Settings) -> None:
    steps: list[str] = []
    made = [train_candidate(name, settings, lambda stage, *_: steps.append(stage)) for name in ("svd", "nmf")]
    assert steps
    assert [read_model(candidate.directory).version for candidate in made] == [c.manifest.version for c in made]

    first = hold_contest(settings)
    assert [standing.algorithm for standing in first.candidates] == list(ALGORITHMS)
    assert first.champion is None
    matrix = load_matrix(matrix_directory(settings.root))
    held_out = hold_out_mask(matrix, settings.training.hold_out_share)
    assert first.hold_out == held_out.sum() > 0
    svd = evaluate({"svd": read_model(made[0].directory)}, matrix, held_out)["svd"]
    assert first.candidates[0].metrics["rmse"] == pytest.approx(svd.metrics["rmse"])
    assert first.candidates[0].floors["rmse"] == pytest.approx(svd.floors.values["rmse"])
    assert set(first.protocols) >= set(first.candidates[0].metrics)
    low, high = first.candidates[0].intervals["rmse"]
    assert low < first.candidates[0].metrics["rmse"] < high
    (difference,) = first.differences
    assert (difference.left, difference.right) == tuple(c.manifest.version for c in made)
    assert difference.metrics["rmse"].value == pytest.approx(
        first.candidates[0].metrics["rmse"] - first.candidates[1].metrics["rmse"]
    )
    assert set(first.candidates[0].curves["catalogue_recall"]) == {"model", "random", "popularity"}

    assert 0 <= first.candidates[0].metrics["fold_in_error"] < 1e-5
    assert first.candidates[0].metrics["scoring_milliseconds"] > 0
    no_floors = tuple(msgspec.structs.replace(standing, floors={}) for standing in first.candidates)
    decision = decide(msgspec.structs.replace(first, candidates=no_floors), settings.promotion)
    publish(settings.root, decision)
    second = hold_contest(settings)
    assert second.champion is not None
    assert second.champion.version == decision.champion
    assert second.champion in second.candidates
    assert first.hold_out_share == second.hold_out_share == settings.training.hold_out_share


def share(settings: Settings, value: float) -> Settings:
    return msgspec.structs.replace(settings, training=msgspec.structs.replace(settings.training, hold_out_share=value))


def train_both(settings: Settings) -> dict[str, Candidate]:
    return {name: train_candidate(name, settings, silent) for name in ("svd", "nmf")}


def crown(settings: Settings, version: str) -> Path:
    """Make a trained model champion, whatever its figures."""
    verdict = Verdict(version=version, algorithm=version[:3], is_sound=True)
    decision = Decision(promoted=True, champion=version, predecessor=None, reason="", verdicts=(verdict,))
    publish(settings.root, decision)
    return version_directory(settings.root, version)


@pytest.mark.parametrize(("of_champion", "of_candidates"), [(0.1, 0.3), (0.3, 0.1)])
def test_the_hold_out_is_the_smallest_that_any_contender_left_out(
    settings: Settings, of_champion: float, of_candidates: float
) -> None:
    champion = train_both(share(settings, of_champion))["svd"].manifest.version
    crown(settings, champion)
    shutil.rmtree(settings.root / "models")
    later = share(settings, of_candidates)
    train_both(later)
    contest = hold_contest(later)
    assert contest.hold_out_share == 0.1
    matrix = load_matrix(matrix_directory(settings.root))
    assert contest.hold_out == hold_out_mask(matrix, 0.1).sum()
    assert contest.champion is not None
    assert contest.champion.version == champion
    assert leaks(settings.root, contest) == []
    wider = msgspec.structs.replace(contest, hold_out_share=0.3)
    assert len(leaks(settings.root, wider)) == (1 if of_champion == 0.1 else 2)


def test_a_damaged_champion_is_named_and_does_not_stop_the_contest(settings: Settings) -> None:
    trained = train_both(settings)
    champion = trained["svd"].manifest.version
    (crown(settings, champion) / "popularity.npy").unlink()
    shutil.rmtree(settings.root / "models")
    matrix = load_matrix(matrix_directory(settings.root))
    save_matrix(matrix_directory(settings.root), replace(matrix, position=Position(topic="later")))
    seed = msgspec.structs.replace(settings.training, seed=1)
    train_both(msgspec.structs.replace(settings, training=seed))
    contest = hold_contest(settings)
    assert (contest.champion, contest.champion_version) == (None, champion)
    assert contest.unfit_champion is not None
    assert "popularity" in contest.unfit_champion.problem
    assert [standing.version for standing in contest.contenders] == [c.version for c in contest.candidates]


def test_a_champion_that_does_not_record_its_hold_out_is_unfit_and_such_a_candidate_is_refused(
    settings: Settings,
) -> None:
    directory = version_directory(settings.root, "svd-unknown")
    directory.parent.mkdir(parents=True)
    write_model(directory, make_model(version="svd-unknown"))
    crown(settings, "svd-unknown")
    train_both(settings)
    unfit = hold_contest(settings).unfit_champion
    assert unfit is not None
    assert unfit.problem == ("model svd-unknown: hyper_parameters.hold_out_share must lie between 0 and 1, got None")
    write_model(
        candidate_directory(settings.root, "svd-99991231T000000Z-0"), make_model(version="svd-99991231T000000Z-0")
    )
    with pytest.raises(UnknownHoldOutError, match="svd-99991231T000000Z-0"):
        hold_contest(settings)


ITEM_ARRAYS = {
    "svd": ["rating_item_factors", "rating_item_bias", "ranking_item_factors"],
    "nmf": ["rating_item_factors", "ranking_item_factors"],
}


@pytest.mark.parametrize("algorithm", ["svd", "nmf"])
def test_what_was_held_out_leaves_no_trace_in_the_item_factors_that_the_manifest_records(
    settings: Settings, algorithm: Literal["svd", "nmf"]
) -> None:
    matrix = random_matrix()
    mask = hold_out_mask(matrix, settings.training.hold_out_share)
    pairs = set(zip(matrix.observations.user_of_row()[mask], matrix.observations.item[mask], strict=True))
    history = matrix.history
    held_out = np.array([pair in pairs for pair in zip(history.user_of_row(), history.item, strict=True)])
    assert 0 < held_out.sum() < len(held_out)
    first = train_candidate(algorithm, settings, silent).manifest
    for rows, is_the_same in ((held_out, True), (~held_out, False)):
        rating = np.where(rows, 5.5 - history.rating, history.rating)
        changed = replace(matrix, history=replace(history, rating=rating))
        save_matrix(matrix_directory(settings.root), changed)
        second = train_candidate(algorithm, settings, silent).manifest
        same = {name: first.files[name] == second.files[name] for name in ITEM_ARRAYS[algorithm]}
        assert same["rating_item_factors"] is is_the_same
        assert all(same.values()) or not is_the_same
        assert first.files["rating_user_factors"] != second.files["rating_user_factors"]
        assert first.hyper_parameters["hold_out_share"] == second.hyper_parameters["hold_out_share"] == 0.1
