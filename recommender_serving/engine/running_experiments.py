"""Which experiments are running: `experiments/RUNNING.json`, read by every replica, written by who starts one."""

from pathlib import Path

import msgspec

from recommender_serving.engine.atomic_files import replace_file
from recommender_serving.engine.experiment_definition import ExperimentDefinition, require_disjoint


class ExperimentError(ValueError):
    """An experiment cannot be started, changed or stopped; the message says why and what to do."""


class RunningExperiment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An experiment with the time of its start (microseconds since 1970) and the plan that was made for it.

    Attributes:
        definition: what was written down; only traffic share and forced users may change while it runs.
        started_us: when the first user could take part.
        users_per_arm: users that each arm was planned to have.
        variances: of one user's contribution to the metric, in control and treatment, that the plan rests on.
    """

    definition: ExperimentDefinition
    started_us: int
    users_per_arm: int
    variances: tuple[float, float]


def running_experiments_path(root: Path) -> Path:
    """The file below the storage root."""
    return root / "experiments" / "RUNNING.json"


def read_running(root: Path) -> tuple[RunningExperiment, ...]:
    """The running experiments, none if the file does not exist.

    Raises:
        ExperimentError: the file is damaged, or its experiments contradict each other.
    """
    path = running_experiments_path(root)
    try:
        running = msgspec.json.decode(path.read_bytes(), type=tuple[RunningExperiment, ...])
        require_disjoint([one.definition for one in running])
    except FileNotFoundError:
        return ()
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
        raise ExperimentError(f"{path}: {error}") from error
    return running


def start_experiment(root: Path, experiment: RunningExperiment) -> RunningExperiment:
    """Add an experiment, or change the traffic share and forced users of a running one; the start and plan stay.

    Raises:
        ExperimentError: it is running with another question, or would share users with another experiment.
    """
    definition = experiment.definition
    others = [one for one in read_running(root) if one.definition.name != definition.name]
    current = next((one for one in read_running(root) if one.definition.name == definition.name), None)
    if current is not None and current.definition.fingerprint != definition.fingerprint:
        raise ExperimentError(
            f"experiment {definition.name!r} is running with another definition; stop it and start one of a new name"
        )
    if current is not None:
        experiment = msgspec.structs.replace(current, definition=definition)
    try:
        require_disjoint([definition, *(one.definition for one in others)])
    except ValueError as error:
        raise ExperimentError(str(error)) from error
    _write(root, (*others, experiment))
    return experiment


def stop_experiment(root: Path, name: str) -> RunningExperiment:
    """Remove an experiment; from the replicas' next look at the file on, nobody takes part.

    Raises:
        ExperimentError: no experiment of that name is running.
    """
    running = read_running(root)
    stopped = next((one for one in running if one.definition.name == name), None)
    if stopped is None:
        known = ", ".join(one.definition.name for one in running) or "none"
        raise ExperimentError(f"no experiment {name!r} is running; running: {known}")
    _write(root, tuple(one for one in running if one is not stopped))
    return stopped


def _write(root: Path, running: tuple[RunningExperiment, ...]) -> None:
    ordered = sorted(running, key=lambda one: one.definition.name)
    replace_file(running_experiments_path(root), msgspec.json.format(msgspec.json.encode(ordered), indent=2) + b"\n")
