from pathlib import Path

import pytest

from recommender_assets.promotion.soundness import factor_problems
from recommender_serving.engine.factor_model import FactorModel, write_model
from tests.factories import make_model


def written(directory: Path, model: FactorModel) -> Path:
    write_model(directory, model)
    return directory


@pytest.mark.parametrize("algorithm", ["svd", "nmf"])
def test_a_model_that_learned_something_is_sound(tmp_path: Path, algorithm: str) -> None:
    assert factor_problems(written(tmp_path / "m", make_model(algorithm))) == []


@pytest.mark.parametrize("head", ["rating", "ranking"])
@pytest.mark.parametrize("algorithm", ["svd", "nmf"])
def test_a_head_that_learned_nothing_is_named(tmp_path: Path, algorithm: str, head: str) -> None:
    model = make_model(algorithm)
    getattr(model, head).item_factors[:] = 0
    assert factor_problems(written(tmp_path / "m", model)) == [f"{head} head: all item factors are zero"]


def test_both_heads_are_looked_at(tmp_path: Path) -> None:
    model = make_model()
    model.rating.item_factors[:] = 0
    model.ranking.item_factors[:] = 0
    assert len(factor_problems(written(tmp_path / "m", model))) == 2


def test_one_number_is_enough_for_a_head(tmp_path: Path) -> None:
    model = make_model()
    model.ranking.item_factors[:] = 0
    model.ranking.item_factors[-1, -1] = -1e-3
    assert factor_problems(written(tmp_path / "m", model)) == []


@pytest.mark.parametrize("name", ["manifest.json", "ranking_item_factors.npy", "history_item.npy"])
def test_changed_bytes_are_a_problem_that_names_the_file(tmp_path: Path, name: str) -> None:
    directory = written(tmp_path / "m", make_model())
    victim = directory / name
    victim.chmod(0o644)
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 0xFF
    victim.write_bytes(content)
    (problem,) = factor_problems(directory)
    assert name in problem
