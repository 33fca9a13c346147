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
    """

    def __init__(self, root: Path, purpose: str) -> None:
        self._path = root / "writer.lock"
        self._purpose = purpose
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = self._path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(file)
            file.close()
            raise WriterBusyError(
                f"the interaction tables below {self._path.parent} are being written by {json.dumps(holder)}",
                str(holder.get("purpose", "")),
            ) from None
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


def lease_holder(root: Path) -> str | None:
    """What holds the lease at this moment, e.g. `stream (host, process 4711)`; None if nobody does."""
    try:
        file = (root / "writer.lock").open(encoding="utf-8")
    except FileNotFoundError:
        return None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # ends with the file
        except BlockingIOError:
            return _described(_holder(file))
    return None


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
