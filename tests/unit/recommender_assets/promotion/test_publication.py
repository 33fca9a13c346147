import datetime as dt
import os
import shutil
from pathlib import Path

import pytest

from recommender_assets.promotion.candidates import (
    KEPT_CANDIDATES,
    NoCandidateError,
    candidate_directory,
    newest_candidate,
    prune,
)
from recommender_assets.promotion.policy import Decision, Verdict
from recommender_assets.promotion.publication import KEPT_VERSIONS, publish, remove_old_models
from recommender_assets.promotion.soundness import factor_problems
from recommender_serving.engine.champion_pointer import ChampionPointer, read_pointer, version_directory
from recommender_serving.engine.experiment_definition import ExperimentDefinition, Variant
from recommender_serving.engine.factor_model import DamagedModelError, read_model, write_model
from recommender_serving.engine.running_experiments import (
    RunningExperiment,
    running_experiments_path,
    start_experiment,
)
from tests.factories import make_model


def candidate(root: Path, version: str) -> str:
    candidate_directory(root, version).parent.mkdir(parents=True, exist_ok=True)
    write_model(candidate_directory(root, version), make_model(version=version, algorithm=version[:3]))
    return version


def promoted(*versions: str, is_sound: bool = True) -> Decision:
    """The first version wins; the others only beat their floors, or not even those."""
    verdicts = [Verdict(version=versions[0], algorithm=versions[0][:3], is_sound=True)]
    verdicts += [Verdict(version=v, algorithm=v[:3], is_sound=is_sound) for v in versions[1:]]
    return Decision(promoted=True, champion=versions[0], predecessor=None, reason="better", verdicts=tuple(verdicts))


def test_a_promotion_publishes_both_algorithms_and_points_at_the_winner(tmp_path: Path) -> None:
    candidate(tmp_path, "svd-1")
    candidate(tmp_path, "nmf-1")
    pointer = publish(tmp_path, promoted("svd-1", "nmf-1"))
    assert pointer == read_pointer(tmp_path)
    assert pointer is not None
    assert (pointer.version, pointer.predecessor) == ("svd-1", None)
    assert pointer.deployed == {"svd": "svd-1", "nmf": "nmf-1"}
    for version in pointer.deployed.values():
        assert read_model(version_directory(tmp_path, version)).version == version


def test_the_other_algorithm_stays_deployed_when_its_candidate_is_below_its_floors(tmp_path: Path) -> None:
    for version in ("svd-1", "nmf-1", "svd-2", "nmf-2"):
        candidate(tmp_path, version)
    publish(tmp_path, promoted("svd-1", "nmf-1"))
    pointer = publish(tmp_path, promoted("svd-2", "nmf-2", is_sound=False))
    assert pointer is not None
    assert (pointer.version, pointer.predecessor) == ("svd-2", "svd-1")
    assert pointer.deployed == {"svd": "svd-2", "nmf": "nmf-1"}


def test_without_promotion_nothing_changes(tmp_path: Path) -> None:
    candidate(tmp_path, "svd-1")
    stays = Decision(promoted=False, champion=None, predecessor=None, reason="worse", verdicts=())
    assert publish(tmp_path, stays) is None
    assert not (tmp_path / "champion").exists()


def test_a_repetition_keeps_the_predecessor(tmp_path: Path) -> None:
    candidate(tmp_path, "svd-1")
    candidate(tmp_path, "svd-2")
    publish(tmp_path, promoted("svd-1"))
    first = publish(tmp_path, promoted("svd-2"))
    assert publish(tmp_path, promoted("svd-2")) == first


def test_a_damaged_candidate_never_becomes_champion(tmp_path: Path) -> None:
    candidate(tmp_path, "svd-1")
    victim = candidate_directory(tmp_path, "svd-1") / "rating_item_factors.npy"
    victim.chmod(0o644)
    os.truncate(victim, victim.stat().st_size - 1)
    with pytest.raises(DamagedModelError, match="rating_item_factors"):
        publish(tmp_path, promoted("svd-1"))
    assert read_pointer(tmp_path) is None
    assert list((tmp_path / "champion" / "versions").iterdir()) == []
    assert "rating_item_factors" in factor_problems(candidate_directory(tmp_path, "svd-1"))[0]


def test_a_sound_model_has_no_problems_and_a_missing_one_has(tmp_path: Path) -> None:
    candidate(tmp_path, "svd-1")
    assert factor_problems(candidate_directory(tmp_path, "svd-1")) == []
    assert factor_problems(candidate_directory(tmp_path, "svd-2")) != []


def test_the_newest_candidate_is_the_one_trained_last(tmp_path: Path) -> None:
    for version in ("svd-20260102T000000Z-0a", "svd-20260101T000000Z-ff", "nmf-20260103T000000Z-00"):
        candidate_directory(tmp_path, version).mkdir(parents=True)
    assert newest_candidate(tmp_path, "svd") == "svd-20260102T000000Z-0a"
    with pytest.raises(NoCandidateError, match="materialise nmf_model first"):
        newest_candidate(tmp_path / "elsewhere", "nmf")


def test_old_directories_are_removed_but_not_what_is_needed(tmp_path: Path) -> None:
    for age in range(8):
        directory = tmp_path / f"svd-{age}"
        directory.mkdir()
        os.utime(directory, (1_000 - age, 1_000 - age))
    assert sorted(prune(tmp_path, {"svd-6"}, 4)) == ["svd-4", "svd-5", "svd-7"]
    assert len(list(tmp_path.iterdir())) == 5


def test_the_champion_its_predecessor_and_its_peer_are_kept(tmp_path: Path) -> None:
    for version in ("svd-1", "nmf-1", "svd-2"):
        candidate(tmp_path, version)
    publish(tmp_path, promoted("svd-1", "nmf-1"))
    pointer = publish(tmp_path, promoted("svd-2"))
    versions = tmp_path / "champion" / "versions"
    for version in ("svd-1", "nmf-1", "svd-2"):
        os.utime(versions / version, (0, 0))
    for later in range(KEPT_VERSIONS + 1):
        (versions / f"svd-later-{later}").mkdir()
    assert len(remove_old_models(tmp_path, pointer)) == 1
    assert {"svd-1", "nmf-1", "svd-2"} <= {path.name for path in versions.iterdir()}


def power_cut(*_: object, **__: object) -> None:
    raise OSError("the power went")


def files_of(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.mark.parametrize(
    ("step", "copied"),
    [("shutil.copytree", False), ("read_model", False), ("sync", False), ("write_pointer", True)],
)
def test_a_crash_before_the_pointer_leaves_the_old_champion_and_a_repetition_completes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, *, copied: bool
) -> None:
    candidate(tmp_path, "svd-1")
    candidate(tmp_path, "svd-2")
    before = publish(tmp_path, promoted("svd-1"))
    with monkeypatch.context() as patch:
        patch.setattr(f"recommender_assets.promotion.publication.{step}", power_cut)
        with pytest.raises(OSError, match="the power went"):
            publish(tmp_path, promoted("svd-2"))
    assert read_pointer(tmp_path) == before
    assert read_model(version_directory(tmp_path, "svd-1")).version == "svd-1"
    versions = {path.name for path in (tmp_path / "champion" / "versions").iterdir()}
    assert versions == ({"svd-1", "svd-2"} if copied else {"svd-1"})
    pointer = publish(tmp_path, promoted("svd-2"))
    assert pointer is not None
    assert (pointer.version, pointer.predecessor) == ("svd-2", "svd-1")
    assert read_model(version_directory(tmp_path, "svd-2")).version == "svd-2"


def test_every_model_is_complete_before_the_pointer_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    candidate(tmp_path, "svd-1")
    candidate(tmp_path, "nmf-1")
    seen: list[str] = []

    def look(root: Path, pointer: ChampionPointer) -> None:
        assert read_pointer(root) is None
        seen.extend(read_model(version_directory(root, version)).version for version in pointer.deployed.values())

    monkeypatch.setattr("recommender_assets.promotion.publication.write_pointer", look)
    publish(tmp_path, promoted("svd-1", "nmf-1"))
    assert sorted(seen) == ["nmf-1", "svd-1"]


def test_the_copy_is_verified_and_not_only_the_original(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    candidate(tmp_path, "svd-1")
    copytree = shutil.copytree

    def bad_disk(source: Path, target: Path) -> None:
        copytree(source, target)
        victim = target / "ranking_item_factors.npy"
        victim.chmod(0o644)
        os.truncate(victim, victim.stat().st_size - 1)

    monkeypatch.setattr("recommender_assets.promotion.publication.shutil.copytree", bad_disk)
    with pytest.raises(DamagedModelError, match="ranking_item_factors"):
        publish(tmp_path, promoted("svd-1"))
    assert read_pointer(tmp_path) is None
    assert factor_problems(candidate_directory(tmp_path, "svd-1")) == []


def test_a_damaged_peer_stops_the_promotion_too(tmp_path: Path) -> None:
    for version in ("svd-1", "svd-2", "nmf-2"):
        candidate(tmp_path, version)
    before = publish(tmp_path, promoted("svd-1"))
    shutil.rmtree(candidate_directory(tmp_path, "nmf-2"))
    with pytest.raises(FileNotFoundError):
        publish(tmp_path, promoted("svd-2", "nmf-2"))
    assert read_pointer(tmp_path) == before


def test_a_published_model_outlives_its_candidate_and_is_the_same(tmp_path: Path) -> None:
    candidate(tmp_path, "svd-1")
    original = files_of(candidate_directory(tmp_path, "svd-1"))
    publish(tmp_path, promoted("svd-1"))
    shutil.rmtree(candidate_directory(tmp_path, "svd-1"))
    assert files_of(version_directory(tmp_path, "svd-1")) == original


def test_an_already_published_version_is_not_copied_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("svd-1", "nmf-1", "svd-2"):
        candidate(tmp_path, version)
    publish(tmp_path, promoted("svd-1", "nmf-1"))
    shutil.rmtree(candidate_directory(tmp_path, "nmf-1"))
    pointer = publish(tmp_path, promoted("svd-2"))
    assert pointer is not None
    assert pointer.deployed == {"svd": "svd-2", "nmf": "nmf-1"}


def test_what_was_deployed_before_and_is_damaged_now_is_not_deployed_again(tmp_path: Path) -> None:
    for version in ("svd-1", "nmf-1", "nmf-2"):
        candidate(tmp_path, version)
    publish(tmp_path, promoted("svd-1", "nmf-1"))
    (version_directory(tmp_path, "svd-1") / "popularity.npy").unlink()
    pointer = publish(tmp_path, promoted("nmf-2"))
    assert pointer is not None
    assert (pointer.version, pointer.predecessor) == ("nmf-2", "svd-1")
    assert pointer.deployed == {"nmf": "nmf-2"}


def test_the_other_algorithm_may_take_over(tmp_path: Path) -> None:
    for version in ("svd-1", "nmf-2"):
        candidate(tmp_path, version)
    publish(tmp_path, promoted("svd-1"))
    pointer = publish(tmp_path, promoted("nmf-2"))
    assert pointer is not None
    assert (pointer.version, pointer.predecessor) == ("nmf-2", "svd-1")
    assert pointer.deployed == {"svd": "svd-1", "nmf": "nmf-2"}


def test_the_pointer_says_when_and_why(tmp_path: Path) -> None:
    candidate(tmp_path, "svd-1")
    before = dt.datetime.now(dt.UTC) - dt.timedelta(milliseconds=1)
    pointer = publish(tmp_path, promoted("svd-1"))
    assert pointer is not None
    assert pointer.reason == "better"
    assert before <= dt.datetime.fromisoformat(pointer.promoted_at) <= dt.datetime.now(dt.UTC)


def test_a_decision_against_the_candidates_leaves_the_champion(tmp_path: Path) -> None:
    candidate(tmp_path, "svd-1")
    candidate(tmp_path, "svd-2")
    before = publish(tmp_path, promoted("svd-1"))
    verdict = Verdict(version="svd-2", algorithm="svd", is_sound=True, objections=("worse",))
    stays = Decision(promoted=False, champion="svd-1", predecessor=None, reason="worse", verdicts=(verdict,))
    assert publish(tmp_path, stays) == before == read_pointer(tmp_path)
    assert not version_directory(tmp_path, "svd-2").exists()


def test_before_the_first_champion_only_old_candidates_are_removed(tmp_path: Path) -> None:
    assert remove_old_models(tmp_path, None) == []
    for age in range(KEPT_CANDIDATES + 2):
        directory = tmp_path / "models" / f"svd-{age}"
        directory.mkdir(parents=True)
        os.utime(directory, (1_000 - age, 1_000 - age))
    assert sorted(remove_old_models(tmp_path, None)) == [f"svd-{KEPT_CANDIDATES}", f"svd-{KEPT_CANDIDATES + 1}"]


def published(root: Path, count: int) -> None:
    """Published versions svd-0 (the newest) to svd-<count - 1>."""
    for age in range(count):
        directory = version_directory(root, f"svd-{age}")
        directory.mkdir(parents=True)
        os.utime(directory, (1_000 - age, 1_000 - age))


def test_a_version_that_a_running_experiment_names_is_kept(tmp_path: Path) -> None:
    published(tmp_path, KEPT_VERSIONS + 3)
    variants = {
        "control": Variant(algorithm="svd"),
        "treatment": Variant(algorithm="svd", version=f"svd-{KEPT_VERSIONS + 1}"),
    }
    definition = ExperimentDefinition(name="one", variants=variants)
    start_experiment(
        tmp_path, RunningExperiment(definition=definition, started_us=5, users_per_arm=1, variances=(0.1, 0.1))
    )
    assert sorted(remove_old_models(tmp_path, None)) == sorted([f"svd-{KEPT_VERSIONS}", f"svd-{KEPT_VERSIONS + 2}"])


def test_while_it_is_unknown_what_experiments_name_nothing_is_removed(tmp_path: Path) -> None:
    published(tmp_path, KEPT_VERSIONS + 3)
    running_experiments_path(tmp_path).parent.mkdir()
    running_experiments_path(tmp_path).write_bytes(b"{")
    assert remove_old_models(tmp_path, None) == []
