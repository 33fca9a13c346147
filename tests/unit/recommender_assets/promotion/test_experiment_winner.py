from pathlib import Path

import pytest

from recommender_assets.promotion.decisions import latest_decision, read_decisions
from recommender_assets.promotion.experiment_winner import WinnerRefusedError, promote_winner
from recommender_assets.promotion.rollback import roll_back
from recommender_assets.settings import Settings
from recommender_serving.engine.champion_pointer import ChampionPointer, read_pointer, version_directory, write_pointer
from recommender_serving.engine.factor_model import write_model
from tests.factories import make_model
from tests.matrices import default_settings

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    deployed = {}
    for algorithm in ("svd", "nmf"):
        model = make_model(algorithm)
        directory = version_directory(tmp_path, model.version)
        directory.parent.mkdir(parents=True, exist_ok=True)
        write_model(directory, model)
        deployed[algorithm] = model.version
    write_pointer(
        tmp_path, ChampionPointer(version=deployed["svd"], predecessor=None, deployed=deployed, promoted_at="now")
    )
    return default_settings(str(tmp_path))


def deployed(settings: Settings, algorithm: str) -> str:
    pointer = read_pointer(settings.root)
    assert pointer is not None
    return pointer.deployed[algorithm]


def test_the_winner_becomes_champion_is_written_down_and_can_be_taken_back(settings: Settings) -> None:
    svd, nmf = deployed(settings, "svd"), deployed(settings, "nmf")
    pointer = promote_winner(settings, nmf, "experiment one: better in ctr")
    assert read_pointer(settings.root) == pointer
    assert (pointer.version, pointer.predecessor) == (nmf, svd)
    assert pointer.deployed == {"svd": svd, "nmf": nmf}
    (row,) = read_decisions(settings.root)
    assert (row.kind, row.champion, row.predecessor, row.reason) == (
        "experiment",
        nmf,
        svd,
        "experiment one: better in ctr",
    )
    assert latest_decision(settings.root) is None  # retraining waits for decisions on contests
    assert roll_back(settings).pointer.version == svd
    with pytest.raises(WinnerRefusedError, match="was rolled back: no reason given"):
        promote_winner(settings, nmf, "again")


def test_what_cannot_become_champion_is_refused_and_nothing_changes(settings: Settings) -> None:
    before = read_pointer(settings.root)
    with pytest.raises(WinnerRefusedError, match="nmf-gone is not deployed any more"):
        promote_winner(settings, "nmf-gone", "")
    with pytest.raises(WinnerRefusedError, match="is the champion already"):
        promote_winner(settings, deployed(settings, "svd"), "")
    nmf = version_directory(settings.root, deployed(settings, "nmf"))
    (nmf / "manifest.json").write_text("{}", encoding="utf-8")
    with pytest.raises(WinnerRefusedError, match="cannot be served"):
        promote_winner(settings, nmf.name, "")
    assert read_pointer(settings.root) == before
    assert read_decisions(settings.root) == ()


def test_without_a_champion_nothing_is_promoted(tmp_path: Path) -> None:
    with pytest.raises(WinnerRefusedError, match="nothing is"):
        promote_winner(default_settings(str(tmp_path)), "nmf-1", "")
