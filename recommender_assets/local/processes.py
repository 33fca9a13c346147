"""Processes that one command starts and that never outlive it, however it ends."""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

SESSION_VARIABLE = "RECOMMENDER_PROCESS_SESSION"
STOP_TIMEOUT_SECONDS = 30


class ProcessDiedError(RuntimeError):
    """A background process ended by itself; the message has its exit status and the end of its log."""


class Processes:
    """Starts background processes, each with a log file, and ends them and all their descendants together.

    Every process inherits a session variable. A small reaper process holds the reading end of a pipe; when this process
    closes the pipe or dies (also by SIGKILL), the reaper ends every process that carries the variable, descendants
    included. When whoever started this process is gone, the reaper asks this process to end.
    """

    def __init__(self, log_directory: Path) -> None:
        self._logs = log_directory
        self._logs.mkdir(parents=True, exist_ok=True)
        self._session = uuid.uuid4().hex
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        reaper = "recommender_assets.local.reaper"
        reading_end, self._lifeline = os.pipe()
        self._reaper = subprocess.Popen(
            [sys.executable, "-m", reaper, self._session, str(os.getpid()), str(os.getppid())],
            stdin=reading_end,
            start_new_session=True,
        )
        os.close(reading_end)
        os.environ[SESSION_VARIABLE] = self._session
        return self

    def __exit__(self, *exc: object) -> None:
        os.environ.pop(SESSION_VARIABLE, None)
        os.close(self._lifeline)
        self._reaper.wait(STOP_TIMEOUT_SECONDS)
        for process in self._running.values():
            process.wait(STOP_TIMEOUT_SECONDS)

    def start(
        self, name: str, command: Sequence[str], environ: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a process in the background; its output goes to `<log_directory>/<name>.log`.

        Args:
            name: short name, used for the log file and in errors.
            command: program and arguments.
            environ: variables to add to this process's environment.
        """
        with self.log_path(name).open("ab") as log:
            process = subprocess.Popen(
                list(command),
                env={**os.environ, **(environ or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._running[name] = process
        return process

    def log_path(self, name: str) -> Path:
        """Where the output of a process goes."""
        return self._logs / f"{name}.log"

    def require_alive(self) -> None:
        """Raise `ProcessDiedError` if a process that was started has ended."""
        for name, process in self._running.items():
            status = process.poll()
            if status is not None:
                tail = "\n".join(self.log_path(name).read_text("utf-8", errors="replace").splitlines()[-15:])
                raise ProcessDiedError(f"{name} ended with status {status}; the end of {self.log_path(name)}:\n{tail}")


def exit_on_termination() -> None:
    """Turn SIGTERM and SIGHUP into `SystemExit`, so that `finally` and `with` blocks run."""

    def leave(number: int, _frame: object) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGHUP, leave)
