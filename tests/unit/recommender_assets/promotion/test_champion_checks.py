from pathlib import Path

import pytest

from recommender_assets.promotion.champion_checks import (
    CHAMPION_CHECKS,
    champion_is_loadable,
    decisions_and_pointer_agree,
    predecessor_is_loadable,
    registry_and_pointer_agree,
)
from recommender_assets.promotion.decisions import append_decision, row_without_contest
from recommender_assets.settings import Settings, load_settings
from recommender_serving.engine.champion_pointer import (
    ChampionPointer,
    pointer_path,
    version_directory,
    write_pointer,
)
from recommender_serving.engine.factor_model import write_model
from tests.factories import make_model


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(environ={"RECOMMENDER__STORAGE__ROOT": str(tmp_path)})


def pointer(version: str = "svd-1", predecessor: str | None = "svd-0") -> ChampionPointer:
    return ChampionPointer(
        version=version,
        predecessor=predecessor,
        deployed={"svd": "svd-1", "nmf": "nmf-1"},
        promoted_at="2026-01-01T00:00:00Z",
    )


@pytest.fixture
def deployed(settings: Settings) -> dict[str, Path]:
    """A champion and its peer, both sound; folder by version."""
    found = {}
    for algorithm in ("svd", "nmf"):
        directory = version_directory(settings.root, f"{algorithm}-1")
        directory.parent.mkdir(parents=True, exist_ok=True)
        write_model(directory, make_model(algorithm, version=f"{algorithm}-1"))
        found[f"{algorithm}-1"] = directory
    write_pointer(settings.root, pointer())
    return found


def test_without_a_champion_nothing_holds(settings: Settings) -> None:
    for check in CHAMPION_CHECKS:
        fact = check(settings)
        assert (fact.passed, fact.reason) == (False, "there is no champion yet")


def test_a_damaged_pointer_is_a_fact_too(settings: Settings, deployed: dict[str, Path]) -> None:
    pointer_path(settings.root).write_bytes(b"{")
    for check in CHAMPION_CHECKS:
        fact = check(settings)
        assert not fact.passed
        assert "CHAMPION.json" in fact.reason


def test_a_sound_champion_passes_without_its_predecessor(settings: Settings, deployed: dict[str, Path]) -> None:
    fact = champion_is_loadable(settings)
    assert (fact.passed, fact.reason, fact.numbers["champion"]) == (True, "", "svd-1")


@pytest.mark.parametrize("version", ["svd-1", "nmf-1"])
def test_damage_to_any_deployed_model_is_found(settings: Settings, deployed: dict[str, Path], version: str) -> None:
    (deployed[version] / "titles_data.npy").unlink()
    fact = champion_is_loadable(settings)
    assert not fact.passed
    assert "titles_data" in fact.reason


def test_one_changed_byte_is_found_by_its_checksum(settings: Settings, deployed: dict[str, Path]) -> None:
    victim = deployed["svd-1"] / "ranking_item_factors.npy"
    content = bytearray(victim.read_bytes())
    content[-1] ^= 1
    victim.chmod(0o644)
    victim.write_bytes(content)
    assert "ranking_item_factors.npy: SHA-256" in champion_is_loadable(settings).reason


def test_a_predecessor_that_is_gone_is_found_before_it_is_needed(settings: Settings, deployed: dict[str, Path]) -> None:
    gone = predecessor_is_loadable(settings)
    assert not gone.passed
    assert "svd-0" in gone.reason
    write_model(version_directory(settings.root, "svd-0"), make_model(version="svd-0"))
    assert predecessor_is_loadable(settings).passed


def test_a_first_champion_needs_no_predecessor(settings: Settings, deployed: dict[str, Path]) -> None:
    write_pointer(settings.root, pointer(predecessor=None))
    assert predecessor_is_loadable(settings).passed


def test_the_table_of_decisions_names_the_champion(settings: Settings, deployed: dict[str, Path]) -> None:
    assert decisions_and_pointer_agree(settings).reason == "the pointer names svd-1, the latest decision None"
    append_decision(settings.root, row_without_contest("rollback", pointer(), "svd-2", ""))
    assert decisions_and_pointer_agree(settings).passed
    write_pointer(settings.root, pointer(version="nmf-1"))
    assert decisions_and_pointer_agree(settings).reason == "the pointer names nmf-1, the latest decision svd-1"


def test_a_store_that_does_not_exist_is_not_made(settings: Settings, deployed: dict[str, Path]) -> None:
    fact = registry_and_pointer_agree(settings)
    assert not fact.passed
    assert fact.reason.endswith("mlflow.db does not exist")
    assert not (settings.root / "mlflow").exists()


@pytest.mark.parametrize(
    ("production", "reason"),
    [
        (["svd-1"], ""),
        ([], "the pointer names svd-1, the alias production is on no version"),
        (["svd-2"], "the pointer names svd-1, the alias production is on svd-2"),
        (["svd-1", "nmf-1"], "the pointer names svd-1, the alias production is on svd-1, nmf-1"),
    ],
)
def test_the_alias_is_where_the_pointer_is_and_nowhere_else(
    settings: Settings,
    deployed: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    production: list[str],
    reason: str,
) -> None:
    class Registry:
        def __init__(self, _: Settings) -> None: ...

        def production(self) -> list[str]:
            return production

    monkeypatch.setattr("recommender_assets.promotion.registry.Registry", Registry)
    store = settings.root / "mlflow" / "mlflow.db"
    store.parent.mkdir()
    store.touch()
    fact = registry_and_pointer_agree(settings)
    assert (fact.passed, fact.reason) == (not reason, reason)
