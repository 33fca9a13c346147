"""Who asked to be forgotten: `champion/FORGOTTEN.json`, which outlives the `forget` events that Kafka lets expire.

The offline half writes it; the service applies it to every model that was trained before a user asked.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from recommender_serving.engine.atomic_files import replace_file
from recommender_serving.engine.champion_pointer import champion_directory
from recommender_serving.engine.events import Event
from recommender_serving.engine.live_events import LiveEvent


class DamagedListError(ValueError):
    """The list of forgotten users cannot be understood; the message says why."""


class ForgottenUser(msgspec.Struct, frozen=True, array_like=True):
    """A `forget` record: whose, where it stood, and when it was ingested (epoch microseconds)."""

    user_id: str
    topic_id: str
    partition: int
    offset: int
    forgotten_us: int


def forgotten_users_path(root: Path) -> Path:
    """The file below the storage root."""
    return champion_directory(root) / "FORGOTTEN.json"


def write_forgotten_users(root: Path, users: Iterable[ForgottenUser]) -> None:
    """Replace the list atomically and force it to the disk."""
    path = forgotten_users_path(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, msgspec.json.encode(list(users)))


def read_forgotten_users(root: Path) -> list[ForgottenUser]:
    """The list; empty when nobody was forgotten yet.

    Raises:
        DamagedListError: the file is not such a list.
    """
    path = forgotten_users_path(root)
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[ForgottenUser])
    except FileNotFoundError:
        return []
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DamagedListError(f"{path}: {error}") from error


def forgets_after(users: Iterable[ForgottenUser], topic_id: str, start: Mapping[int, int]) -> Iterator[LiveEvent]:
    """The `forget` events of a topic at or after `start`, partition -> first offset that is not inside a model."""
    for user in users:
        if user.topic_id == topic_id and user.offset >= start.get(user.partition, 0):
            event = Event(user.user_id, None, "forget", None, user.forgotten_us, f"forgotten-{user.offset}")
            yield LiveEvent(event, user.partition, user.offset)
