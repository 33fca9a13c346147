import pytest
import yaml
from click.testing import CliRunner

from recommender_assets.cli import main
from recommender_assets.settings import ModelsSettings
from recommender_assets.tuning.presets import PRESETS, preset_for, preset_snippet
from recommender_serving.engine.config import section
from tests.matrices import random_matrix


@pytest.mark.parametrize("name", PRESETS)
def test_a_snippet_is_a_part_of_the_configuration_that_gives_the_preset(name):
    assert section(yaml.safe_load(preset_snippet(name)), "models", ModelsSettings) == PRESETS[name]


@pytest.mark.parametrize("name", PRESETS)
def test_the_command_prints_it(name):
    answer = CliRunner().invoke(main, ["preset", name])
    assert (answer.exit_code, answer.stdout) == (0, preset_snippet(name))


def test_an_unknown_preset_is_named_with_the_known_ones():
    answer = CliRunner().invoke(main, ["preset", "sparse"])
    assert answer.exit_code == 2
    assert "'sparse' is not" in answer.stderr
    assert "dense" in answer.stderr


def test_the_preset_follows_the_observations_of_an_item():
    assert preset_for(random_matrix(n_users=200, n_items=5, density=0.9)) == "dense"
    assert preset_for(random_matrix(n_users=20, n_items=30)) is None
