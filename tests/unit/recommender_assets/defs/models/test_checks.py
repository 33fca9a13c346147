import os
from pathlib import Path

import pytest

from recommender_assets.defs.models.checks import nmf_factors_are_finite, svd_factors_are_finite
from recommender_assets.promotion.candidates import NoCandidateError, candidate_directory
from recommender_assets.settings import Settings, load_settings
from recommender_serving.engine.factor_model import write_model
from tests.factories import make_model

CHECKS = {"svd": svd_factors_are_finite, "nmf": nmf_factors_are_finite}
BOTH = pytest.mark.parametrize("algorithm", sorted(CHECKS))


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


@BOTH
def test_the_newest_model_of_the_algorithm_is_looked_at(settings: Settings, algorithm: str) -> None:
    trained(settings, algorithm, f"{algorithm}-1", learned=False)
    trained(settings, algorithm, f"{algorithm}-2")
    other = "nmf" if algorithm == "svd" else "svd"
    trained(settings, other, f"{other}-3", learned=False)
    result = CHECKS[algorithm](settings=settings)
    assert result.passed
    assert result.metadata["version"].value == f"{algorithm}-2"
    assert result.description is None
    assert not CHECKS[other](settings=settings).passed


@BOTH
def test_a_model_that_learned_nothing_does_not_pass(settings: Settings, algorithm: str) -> None:
    trained(settings, algorithm, f"{algorithm}-1", learned=False)
    result = CHECKS[algorithm](settings=settings)
    assert not result.passed
    assert result.description == "ranking head: all item factors are zero"


@BOTH
def test_a_damaged_model_does_not_pass(settings: Settings, algorithm: str) -> None:
    victim = trained(settings, algorithm, f"{algorithm}-1") / "rating_user_factors.npy"
    victim.chmod(0o644)
    os.truncate(victim, victim.stat().st_size - 4)
    result = CHECKS[algorithm](settings=settings)
    assert not result.passed
    assert "rating_user_factors" in str(result.description)


@BOTH
def test_without_a_model_the_check_says_what_to_materialise(settings: Settings, algorithm: str) -> None:
    with pytest.raises(NoCandidateError, match=f"materialise {algorithm}_model first"):
        CHECKS[algorithm](settings=settings)
