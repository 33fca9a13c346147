"""API keys: how they are made, stored and recognised. The service knows only their hashes."""

import hmac
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from secrets import token_urlsafe

import msgspec

from recommender_serving.access.scopes import Scope
from recommender_serving.engine.config import ConfigError
from recommender_serving.engine.yaml_document import YamlError, parse_yaml

_PREFIX = "rk_"  # lets people and secret scanners recognise a key
_RANDOM_BYTES = 32


class KeySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One configured key.

    Attributes:
        name: Who uses it; appears in logs.
        sha256: Hash of the key, 64 hexadecimal digits. A plain hash is enough, because keys are 256 random bits.
        scopes: What it may do.
    """

    name: str
    sha256: str
    scopes: list[Scope]

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise ValueError("name must not be empty")
        if len(self.sha256) != 64 or not set(self.sha256) <= set("0123456789abcdef"):
            # Without the value: whoever writes the key itself in here must not find it in a log.
            raise ValueError(f"sha256 of key {self.name!r} must be 64 hexadecimal digits, the hash of the key")
        if not self.scopes:
            raise ValueError(f"scopes of key {self.name!r} must name at least one of read, write, admin")


class Caller(msgspec.Struct, frozen=True, gc=False):
    """Whose key was presented, and what it may do."""

    name: str
    scopes: frozenset[Scope]


class ApiKeys:
    """Recognises presented keys.

    Args:
        keys: The configured keys; none means that there is no authentication.
    """

    def __init__(self, keys: Sequence[KeySettings]) -> None:
        self._callers = [(bytes.fromhex(key.sha256), Caller(key.name, frozenset(key.scopes))) for key in keys]
        self._recognised: dict[bytes, Caller] = {}  # by hash; never more entries than configured keys

    def __bool__(self) -> bool:
        return bool(self._callers)

    def caller(self, presented: bytes) -> Caller | None:
        """Who presents this key; None if nobody has it. Compares hashes, in a time that no hash decides."""
        digest = sha256(presented).digest()
        caller = self._recognised.get(digest)
        if caller is not None:
            return caller
        for known, candidate in self._callers:
            if hmac.compare_digest(known, digest):
                caller = candidate
        if caller is not None:
            self._recognised[digest] = caller
        return caller


def new_key() -> tuple[str, str]:
    """A fresh key and its hash (hexadecimal); the key itself is stored nowhere."""
    key = _PREFIX + token_urlsafe(_RANDOM_BYTES)
    return key, sha256(key.encode()).hexdigest()


def describe_new_key(name: str, scopes: Sequence[Scope]) -> str:
    """A fresh key for people: the key, which is shown this once, and the entry that makes the service know it."""
    key, digest = new_key()
    entry = f'{{name: {msgspec.json.encode(name).decode()}, sha256: "{digest}", scopes: [{", ".join(scopes)}]}}'
    return f"key (shown only now): {key}\nentry for access.keys or the file access.keys_file:\n- {entry}\n"


def require_distinct(keys: Sequence[KeySettings]) -> None:
    """Raise `ValueError` if two keys share a name or a hash."""
    for field in ("name", "sha256"):
        values = [getattr(key, field) for key in keys]
        repeated = next((key.name for key, value in zip(keys, values, strict=True) if values.count(value) > 1), None)
        if repeated is not None:
            raise ValueError(f"keys must differ in {field}, which key {repeated!r} shares with another")


def read_keys_file(path: Path) -> list[KeySettings]:
    """The keys in a YAML file: a list of entries with `name`, `sha256` and `scopes`.

    Raises:
        ConfigError: the file cannot be read, or an entry breaks a rule.
    """
    try:
        document = parse_yaml(path.read_text(encoding="utf-8"))
        return msgspec.convert(document if document is not None else [], list[KeySettings])
    except (OSError, UnicodeDecodeError, YamlError, msgspec.ValidationError) as error:
        raise ConfigError(f"access.keys_file: {path}: expected a list of keys, got {error}") from error
