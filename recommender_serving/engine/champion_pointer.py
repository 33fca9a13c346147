"""Which model is the champion: `champion/CHAMPION.json` beside the immutable `champion/versions/<version>/`."""

import re
from pathlib import Path

import msgspec

from recommender_serving.engine.atomic_files import replace_file

_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class DamagedPointerError(ValueError):
    """The pointer file cannot be understood; the message says why."""


class ChampionPointer(msgspec.Struct, frozen=True, kw_only=True):
    """The champion's version, the one before it, and every version that is deployed, by algorithm.

    Attributes:
        version: the champion's model version, a folder name below `champion/versions`.
        predecessor: the version to roll back to, None for the first champion.
        deployed: algorithm -> version of the models that are kept alive.
        promoted_at: RFC 3339 time of the promotion.
        reason: why it was promoted.
    """

    version: str
    predecessor: str | None
    deployed: dict[str, str]
    promoted_at: str
    reason: str = ""

    def __post_init__(self) -> None:
        versions = {"version": self.version, **{f"deployed.{name}": v for name, v in self.deployed.items()}}
        if self.predecessor is not None:
            versions["predecessor"] = self.predecessor
        for field, version in versions.items():
            _require_version(field, version)


def champion_directory(root: Path) -> Path:
    """Folder of the champion below the storage root."""
    return root / "champion"


def version_directory(root: Path, version: str) -> Path:
    """Folder of one published model version.

    Raises:
        ValueError: the version is not a plain folder name.
    """
    _require_version("version", version)
    return champion_directory(root) / "versions" / version


def pointer_path(root: Path) -> Path:
    """The pointer file."""
    return champion_directory(root) / "CHAMPION.json"


def read_pointer(root: Path) -> ChampionPointer | None:
    """Read the pointer; None when there is no champion yet.

    Raises:
        DamagedPointerError: the file is not a valid pointer.
    """
    path = pointer_path(root)
    try:
        return msgspec.json.decode(path.read_bytes(), type=ChampionPointer)
    except FileNotFoundError:
        return None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedPointerError(f"{path}: {error}") from error


def write_pointer(root: Path, pointer: ChampionPointer) -> None:
    """Replace the pointer atomically and force it to the disk."""
    replace_file(pointer_path(root), msgspec.json.format(msgspec.json.encode(pointer), indent=2) + b"\n")


def _require_version(field: str, version: str) -> None:
    if not _VERSION.fullmatch(version):
        raise ValueError(f"{field} must be a folder name of A-Z a-z 0-9 . _ -, got {version!r}")
