import fcntl
import json
import os
import socket
from pathlib import Path
from types import TracebackType
from typing import IO, Self


class WriterBusyError(RuntimeError):
    """Another process writes the interaction tables; the message names it."""


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
            file.seek(0)
            holder = file.read().strip() or "unknown"
            file.close()
            raise WriterBusyError(
                f"the interaction tables below {self._path.parent} are being written by {holder}"
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
            return _described(file.read())
    return None


def _described(content: str) -> str:
    try:
        holder = json.loads(content)
        return f"{holder['purpose']} ({holder['host']}, process {holder['pid']})"
    except (ValueError, KeyError, TypeError):
        return "another process"
