"""Ends a session's processes as soon as the process that started them is gone.

Run as `python -m recommender_assets.local.reaper SESSION OWNER_PID LAUNCHER_PID`, with standard input a pipe that the
owner holds open; the launcher is the process that started the owner.
"""

import os
import select
import signal
import sys
import time

import psutil

from recommender_assets.local.processes import SESSION_VARIABLE

POLL_SECONDS = 0.5
GRACE_SECONDS = 8.0


def session_processes(session: str) -> list[psutil.Process]:
    """All living processes that carry the session's variable except this one; zombies have no environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(SESSION_VARIABLE) == session:
                found.append(process)
        except psutil.Error:
            continue
    return found


def end_processes(session: str, grace_seconds: float = GRACE_SECONDS) -> None:
    """Ask the session's processes to end, wait, and kill those that did not; repeat until none is left."""
    _signal_all(session_processes(session), signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    while remaining := session_processes(session):
        if time.monotonic() > deadline:
            _signal_all(remaining, signal.SIGKILL)
        time.sleep(0.05)


def wait_for_end_of_owner(owner: int, launcher: int) -> None:
    """Return once standard input is closed; ask the owner to end when its launcher is gone."""
    asked = False
    while not select.select([sys.stdin], [], [], POLL_SECONDS)[0]:
        if not asked and _parent_of(owner) != launcher:
            asked = True
            os.kill(owner, signal.SIGTERM)


def _parent_of(pid: int) -> int | None:
    try:
        return psutil.Process(pid).ppid()
    except psutil.NoSuchProcess:
        return None


def _signal_all(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue


def main() -> None:
    """Wait for the end of the owner, then end the session's processes."""
    session, owner, launcher = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    wait_for_end_of_owner(owner, launcher)
    end_processes(session)


if __name__ == "__main__":
    main()
