import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from recommender_assets.local.processes import SESSION_VARIABLE, ProcessDiedError, Processes
from tests.waiting import wait_until

OWNER = """
import sys, time
from pathlib import Path
from recommender_assets.local.processes import Processes, exit_on_termination
exit_on_termination()
with Processes(Path(sys.argv[1])) as processes:
    processes.start("family", ["sh", "-c", sys.argv[2]])
    print("ready", flush=True)
    time.sleep(300)
"""


FAMILY = "sleep 300 & setsid sleep 301 & wait"
STUBBORN_FAMILY = "trap '' TERM; " + FAMILY


def carriers(session_of: int) -> list[psutil.Process]:
    """Processes that carry the session variable of the given owner's children."""
    children = [child for child in psutil.Process(session_of).children() if "sh" in child.name()]
    session = children[0].environ()[SESSION_VARIABLE]
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(SESSION_VARIABLE) == session:
                found.append(process)
        except psutil.Error:
            continue
    return found


def is_alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(
    ("number", "family_script"),
    [(signal.SIGKILL, STUBBORN_FAMILY), (signal.SIGTERM, FAMILY), (signal.SIGINT, FAMILY)],
)
def test_no_process_outlives_its_owner_however_the_owner_ends(
    tmp_path: Path, number: signal.Signals, family_script: str
) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path), family_script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert owner.stdout is not None
    with owner.stdout:
        assert owner.stdout.readline() == b"ready\n"
        wait_until(lambda: len(carriers(owner.pid)) >= 3, 20, "the family is there")
        family = carriers(owner.pid)
        owner.send_signal(number)
        owner.wait(20)
    wait_until(lambda: not any(is_alive(process) for process in family), 20, "the family has ended")


def test_no_process_outlives_the_launcher_of_its_owner(tmp_path: Path) -> None:
    launcher = subprocess.Popen(
        ["sh", "-c", '"$0" -c "$1" "$2" "$3"; true', sys.executable, OWNER, str(tmp_path), FAMILY],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert launcher.stdout is not None
    with launcher.stdout:
        assert launcher.stdout.readline() == b"ready\n"
        owner = psutil.Process(launcher.pid).children()[0]
        wait_until(lambda: len(carriers(owner.pid)) >= 3, 20, "the family is there")
        family = [owner, *carriers(owner.pid)]
        launcher.kill()
        launcher.wait(5)
    wait_until(lambda: not any(is_alive(process) for process in family), 20, "the family has ended")


def test_output_goes_to_a_log_file_named_after_the_process(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        process = processes.start("greeter", ["sh", "-c", 'echo "$GREETING"'], {"GREETING": "good morning"})
        process.wait(5)
        assert processes.log_path("greeter").read_text(encoding="utf-8") == "good morning\n"


def test_a_process_that_ended_by_itself_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        processes.start("broken", ["sh", "-c", "echo no disk left; exit 3"]).wait(5)
        with pytest.raises(ProcessDiedError, match=r"broken ended with status 3(.|\n)*no disk left"):
            processes.require_alive()


def test_living_processes_are_not_reported(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        processes.start("patient", ["sleep", "60"])
        processes.require_alive()


def test_the_session_variable_is_gone_afterwards(tmp_path: Path) -> None:
    with Processes(tmp_path):
        assert os.environ[SESSION_VARIABLE]
    assert SESSION_VARIABLE not in os.environ
