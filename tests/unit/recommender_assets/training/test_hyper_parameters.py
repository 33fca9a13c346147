import msgspec
import pytest

from recommender_assets.settings import NmfSettings, SvdSettings
from recommender_assets.training.hyper_parameters import meanings, with_hyper_parameters
from recommender_serving.engine.config import ConfigError
from tests.matrices import default_settings


@pytest.mark.parametrize("struct", [SvdSettings, NmfSettings])
def test_every_hyper_parameter_is_explained(struct: type[msgspec.Struct]) -> None:
    assert list(meanings(struct)) == list(struct.__struct_fields__)
    assert all(len(meaning) > 5 and "\n" not in meaning for meaning in meanings(struct).values())


def test_a_meaning_may_take_two_lines() -> None:
    assert meanings(SvdSettings)["validation_share"].startswith("share of the training ratings that decides after how")
    assert meanings(SvdSettings)["validation_share"].endswith("in half the time.")


def test_changes_go_over_what_is_configured() -> None:
    settings = default_settings(svd=SvdSettings(factors=7, epochs=3), nmf=NmfSettings(factors=9))
    changed = with_hyper_parameters(settings, "svd", {"factors": 5})
    assert changed.models.svd == SvdSettings(factors=5, epochs=3)
    assert changed.models.nmf == NmfSettings(factors=9)
    assert settings.models.svd.factors == 7
    assert with_hyper_parameters(settings, "nmf", {}) == settings


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"factors": 0}, "models.svd: factors must be greater than 0, got 0"),
        ({"learning_rate": "fast"}, "models.svd.learning_rate: expected float, got str 'fast'"),
        ({"validation_share": 1.5}, "validation_share must be less than 1"),
        ({"layers": 3}, "models.svd.layers: unknown key"),
    ],
)
def test_the_rules_are_those_of_the_configuration(changes: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        with_hyper_parameters(default_settings(), "svd", changes)
