"""One change of the champion at a time, whoever makes it: a run that promotes, a person or a sensor that rolls back."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recommender_serving.engine.champion_pointer import champion_directory


@contextmanager
def champion_lock(root: Path) -> Iterator[None]:
    """Wait for the right to change the champion, and hold it; the system frees it when its holder ends.

    A file lock: it holds on one machine, or on one mounted file system that supports locks.
    """
    path = champion_directory(root) / "change.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
