"""What was written down when an experiment started and when it ended: files written once and never changed."""

import time
from pathlib import Path

import msgspec

from recommender_serving.engine.running_experiments import (
    ExperimentError,
    RunningExperiment,
    read_running,
    start_experiment,
    stop_experiment,
)


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """When an experiment stopped (microseconds since 1970), and why."""

    stopped_us: int
    reason: str


class SimulatedDays(msgspec.Struct, frozen=True, kw_only=True):
    """Of an experiment on simulated visitors.

    Attributes:
        begins_us: real time at which each simulated day began, and at the end that at which the last one was over.
        population: whom the visitors were drawn from.
    """

    begins_us: tuple[int, ...]
    population: str


def begin(root: Path, experiment: RunningExperiment) -> RunningExperiment:
    """Write question, plan and stop rule down, then let users take part; a running one may only change its traffic.

    Raises:
        ExperimentError: it is running with another definition, would share users with another experiment, or one of
            this name was run before.
    """
    name = experiment.definition.name
    if any(one.definition.name == name for one in read_running(root)):
        return start_experiment(root, experiment)
    try:
        _write_once(_plan_path(root, name), experiment)
    except FileExistsError:
        raise ExperimentError(
            f"experiment {name!r} was run before, and its plan is kept; a new experiment needs a new name"
        ) from None
    try:
        return start_experiment(root, experiment)
    except ExperimentError:
        _plan_path(root, name).unlink()
        raise


def end(root: Path, name: str, reason: str) -> Ending:
    """Let nobody take part any more and write down when and why.

    Raises:
        ExperimentError: no experiment of that name is running.
    """
    stop_experiment(root, name)
    ending = Ending(stopped_us=time.time_ns() // 1_000, reason=reason)
    _write_once(_ending_path(root, name), ending)
    return ending


def read_plan(root: Path, name: str) -> RunningExperiment:
    """The experiment as it was written down at its start; of a running one, with its present traffic.

    Raises:
        ExperimentError: it was never started, or the file is damaged.
    """
    running = next((one for one in read_running(root) if one.definition.name == name), None)
    if running is not None:
        return running
    try:
        return msgspec.json.decode(_plan_path(root, name).read_bytes(), type=RunningExperiment)
    except FileNotFoundError:
        raise ExperimentError(
            f"experiment {name!r} was never started; known are: {', '.join(started(root)) or 'none'}"
        ) from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ExperimentError(f"{_plan_path(root, name)}: {error}") from error


def read_ending(root: Path, name: str) -> Ending | None:
    """When and why it stopped, None while it runs."""
    try:
        return msgspec.json.decode(_ending_path(root, name).read_bytes(), type=Ending)
    except FileNotFoundError:
        return None


def write_simulated_days(root: Path, name: str, days: SimulatedDays) -> None:
    """Write down that the visitors of an experiment were simulated, and when their days were."""
    _write_once(_folder(root) / name / "SIMULATED.json", days)


def read_simulated_days(root: Path, name: str) -> SimulatedDays | None:
    """The days of an experiment on simulated visitors, None if its users are real."""
    try:
        return msgspec.json.decode((_folder(root) / name / "SIMULATED.json").read_bytes(), type=SimulatedDays)
    except FileNotFoundError:
        return None


def started(root: Path) -> tuple[str, ...]:
    """Names of all experiments that were ever started."""
    return tuple(sorted(path.parent.name for path in _folder(root).glob("*/PLAN.json")))


def _folder(root: Path) -> Path:
    return root / "experiments" / "records"


def _plan_path(root: Path, name: str) -> Path:
    return _folder(root) / name / "PLAN.json"


def _ending_path(root: Path, name: str) -> Path:
    return _folder(root) / name / "ENDING.json"


def _write_once(path: Path, record: msgspec.Struct) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
