import os
from pathlib import Path

import msgspec
import pytest

from recommender_assets.fact import Check
from recommender_assets.promotion.candidates import candidate_directory
from recommender_assets.promotion.model_checks import MODEL_CHECKS
from recommender_assets.promotion.training_record import TrainingRecord, load_training_record, save_training_record
from recommender_assets.settings import ChecksSettings, Settings, load_settings
from recommender_serving.engine.factor_model import write_model
from tests.factories import make_model

BOTH = pytest.mark.parametrize("algorithm", ["nmf", "svd"])


def check_of(algorithm: str, name: str) -> Check:
    (found,) = (check for check in MODEL_CHECKS if (check.asset, check.name) == (f"{algorithm}_model", name))
    return found


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(environ={"RECOMMENDER__STORAGE__ROOT": str(tmp_path)})


def trained(settings: Settings, algorithm: str, version: str, *, learned: bool = True) -> Path:
    directory = candidate_directory(settings.root, version)
    directory.parent.mkdir(parents=True, exist_ok=True)
    model = make_model(algorithm, version=version)
    if not learned:
        model.ranking.item_factors[:] = 0
    write_model(directory, model)
    return directory


def recorded(settings: Settings, **curves: list[float]) -> None:
    save_training_record(settings.root, "svd", TrainingRecord(version="svd-1", seconds=1.5, curves=curves))


def test_each_model_has_each_check() -> None:
    found = {(check.asset, check.name): check.blocking for check in MODEL_CHECKS}
    assert found == {
        (f"{algorithm}_model", name): blocking
        for algorithm in ("svd", "nmf")
        for name, blocking in (
            ("factors_are_finite", True),
            ("fold_in_parity_holds", False),
            ("training_converged", False),
        )
    }
    assert all(check.description for check in MODEL_CHECKS)


@BOTH
def test_the_newest_model_of_the_algorithm_is_looked_at(settings: Settings, algorithm: str) -> None:
    check = check_of(algorithm, "factors_are_finite")
    trained(settings, algorithm, f"{algorithm}-1", learned=False)
    trained(settings, algorithm, f"{algorithm}-2")
    other = "nmf" if algorithm == "svd" else "svd"
    trained(settings, other, f"{other}-3", learned=False)
    fact = check(settings)
    assert (fact.passed, fact.reason, dict(fact.numbers)) == (True, "", {"version": f"{algorithm}-2"})
    assert not check_of(other, "factors_are_finite")(settings).passed


@BOTH
def test_a_model_that_learned_nothing_does_not_pass(settings: Settings, algorithm: str) -> None:
    trained(settings, algorithm, f"{algorithm}-1", learned=False)
    fact = check_of(algorithm, "factors_are_finite")(settings)
    assert (fact.passed, fact.reason) == (False, "ranking head: all item factors are zero")


@BOTH
def test_a_damaged_model_does_not_pass(settings: Settings, algorithm: str) -> None:
    victim = trained(settings, algorithm, f"{algorithm}-1") / "rating_user_factors.npy"
    victim.chmod(0o644)
    os.truncate(victim, victim.stat().st_size - 4)
    fact = check_of(algorithm, "factors_are_finite")(settings)
    assert not fact.passed
    assert "rating_user_factors" in fact.reason


@BOTH
def test_a_user_whom_the_service_would_solve_otherwise_is_found(settings: Settings, algorithm: str) -> None:
    check = check_of(algorithm, "fold_in_parity_holds")
    trained(settings, algorithm, f"{algorithm}-1")
    fact = check(settings)
    assert fact.passed
    assert 0 <= float(fact.numbers["fold_in_error"]) <= 1e-5
    directory = candidate_directory(settings.root, f"{algorithm}-2")
    model = make_model(algorithm, version=f"{algorithm}-2")
    model.ranking.user_factors[3] += 0.01
    write_model(directory, model)
    fact = check(settings)
    assert (fact.passed, fact.numbers["version"]) == (False, f"{algorithm}-2")
    assert "vectors differ by 0.01, 1e-05 is allowed" in fact.reason


@BOTH
def test_without_a_model_the_check_says_what_to_materialise(settings: Settings, algorithm: str) -> None:
    fact = check_of(algorithm, "factors_are_finite")(settings)
    assert not fact.passed
    assert f"materialise {algorithm}_model first" in fact.reason
    assert not check_of(algorithm, "training_converged")(settings).passed


def test_a_record_reads_back(settings: Settings) -> None:
    recorded(settings, rating_rmse=[1.0, 0.9])
    record = load_training_record(settings.root, "svd")
    assert (record.version, record.seconds, record.curves) == ("svd-1", 1.5, {"rating_rmse": [1.0, 0.9]})


@pytest.mark.parametrize(
    ("curve", "reason"),
    [
        ([1.0, 0.6, 0.595], ""),
        ([1.0], ""),
        ([1.0, 0.6, 0.5], "rating_rmse still changed by 16.67% in the last step"),
        ([1.0, 1.2, 1.2], "rating_rmse rose from 1 to 1.2"),
        ([1.0, 0.5, 0.6], "rating_rmse still changed by 20.00% in the last step"),
    ],
    ids=["settled", "one step", "still falling", "risen", "rising again"],
)
def test_a_training_has_converged_when_its_loss_has_fallen_and_settled(
    settings: Settings, curve: list[float], reason: str
) -> None:
    recorded(settings, rating_rmse=curve, ranking_loss=[2.0, 1.0, 1.0])
    fact = check_of("svd", "training_converged")(settings)
    assert (fact.passed, fact.reason) == (not reason, reason)


def test_how_settled_is_configured(settings: Settings) -> None:
    recorded(settings, rating_rmse=[1.0, 0.6, 0.595])
    strict = msgspec.structs.replace(settings, checks=ChecksSettings(converged_step=0.001))
    assert not check_of("svd", "training_converged")(strict).passed
