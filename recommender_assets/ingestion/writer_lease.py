import contextlib
import fcntl
import json
import os
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Self

STREAM = "stream"  # the purpose of `recommender stream`
_ATTEMPTS = 20
_PAUSE_S = 0.02
_PROBES_S = 0.2  # a look at the lease locks it for an instant, which must not refuse anyone


class WriterBusyError(RuntimeError):
    """Another process writes the interaction tables; the message names it.

    Attributes:
        purpose: what its holder does.
    """

    def __init__(self, message: str, purpose: str) -> None:
        super().__init__(message)
        self.purpose = purpose


class WriterLease:
    """The right to write the interaction tables: at most one holder for each storage root.

    A file lock, which the system frees when its holder ends, however it ends. It protects one machine (or one
    mounted file system that supports locks).

    Args:
        root: the storage root.
        purpose: what the holder does, for the message that another one gets.
        wait_s: how long to wait for the holder, who can see it (`is_wanted`) and may give way.
    """

    def __init__(self, root: Path, purpose: str, wait_s: float = 0.0) -> None:
        self._path = root / "writer.lock"
        self._queue = root / "writer.queue"
        self._purpose = purpose
        self._wait_s = wait_s
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = self._path.open("a+", encoding="utf-8")
        if not self._take(file):
            holder = _holder(file)
            file.close()
            raise WriterBusyError(
                f"the interaction tables below {self._path.parent} are being written by {json.dumps(holder)}",
                str(holder.get("purpose", "")),
            )
        file.truncate(0)
        file.write(json.dumps({"purpose": self._purpose, "host": socket.gethostname(), "pid": os.getpid()}))
        file.flush()
        self._file = file
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def is_wanted(self) -> bool:
        """Whether another process waits for the lease."""
        try:
            file = self._queue.open(encoding="utf-8")
        except FileNotFoundError:
            return False
        with file:
            return not _lock(file, fcntl.LOCK_SH)

    def _take(self, file: IO[str]) -> bool:
        """Lock the file, now or within the time that there is."""
        deadline = time.monotonic() + max(self._wait_s, _PROBES_S)
        with self._queue.open("a", encoding="utf-8") as queue:  # locked as long as somebody waits
            if self._wait_s:
                _lock(queue, fcntl.LOCK_EX)
            while not _lock(file, fcntl.LOCK_EX):
                if time.monotonic() > deadline:
                    return False
                time.sleep(_PAUSE_S)
            return True


def _lock(file: IO[str], kind: int) -> bool:
    """Lock a file unless another process has; the lock ends with the file."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def lease_holder(root: Path) -> str | None:
    """What holds the lease at this moment, e.g. `stream (host, process 4711)`; None if nobody does."""
    try:
        file = (root / "writer.lock").open(encoding="utf-8")
    except FileNotFoundError:
        return None
    with file:
        return None if _lock(file, fcntl.LOCK_SH) else _described(_holder(file))


def _holder(file: IO[str]) -> dict[str, str | int]:
    """Who holds the lock; a holder takes the lock a moment before it writes its name."""
    for _ in range(_ATTEMPTS):
        file.seek(0)
        with contextlib.suppress(ValueError):
            holder: dict[str, str | int] = json.loads(file.read())
            return holder
        time.sleep(0.01)
    return {"purpose": "unknown"}


def _described(holder: dict[str, str | int]) -> str:
    try:
        return f"{holder['purpose']} ({holder['host']}, process {holder['pid']})"
    except (KeyError, TypeError):
        return "another process"
