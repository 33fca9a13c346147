import msgspec
import pytest

from recommender_assets.settings import NmfSettings, SvdSettings
from recommender_assets.tuning.search_spaces import SEARCH_SPACES, rounded, search_space, with_values

SETTINGS = {"svd": SvdSettings(), "nmf": NmfSettings()}


@pytest.mark.parametrize(("algorithm", "head"), SEARCH_SPACES)
def test_bounds_are_valid_settings_and_contain_the_defaults(algorithm, head):
    for bounds in SEARCH_SPACES[algorithm, head]:
        for value in (bounds.low, bounds.high):
            assert getattr(with_values(SETTINGS[algorithm], {bounds.key: value}), bounds.key) == value
        assert bounds.low <= getattr(SETTINGS[algorithm], bounds.key) <= bounds.high
        assert bounds.low > 0 or not bounds.log


def test_bounds_widen_to_what_is_configured():
    space = search_space("svd", "ranking", SvdSettings(ranking_regularization=400.0, unobserved_weight=0.001))

    found = {bounds.key: (bounds.low, bounds.high) for bounds in space}
    assert found["ranking_regularization"] == (0.5, 400.0)
    assert found["unobserved_weight"] == (0.001, 1.0)


def test_a_value_that_breaks_a_rule_of_the_settings_is_refused():
    with pytest.raises(msgspec.ValidationError, match="epochs must be greater than 0"):
        with_values(SvdSettings(), {"epochs": 0})


def test_values_are_shown_as_they_are_tried():
    assert rounded({"alpha": 0.123456, "epochs": 12345}) == {"alpha": 0.1235, "epochs": 12345}
