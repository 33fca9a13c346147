import time
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender_serving.access.keys import (
    ApiKeys,
    KeySettings,
    describe_new_key,
    new_key,
    read_keys_file,
    require_distinct,
)
from recommender_serving.engine.config import ConfigError
from recommender_serving.engine.yaml_document import parse_yaml


def entry(key: str, name: str = "shop") -> KeySettings:
    return KeySettings(name=name, sha256=sha256(key.encode()).hexdigest(), scopes=["read", "write"])


def test_a_key_is_recognised_by_its_hash_every_time() -> None:
    key, digest = new_key()
    keys = ApiKeys([KeySettings(name="shop", sha256=digest, scopes=["read"]), entry("other", "other")])
    for _ in range(3):
        caller = keys.caller(key.encode())
        assert caller is not None
        assert (caller.name, caller.scopes) == ("shop", {"read"})
    other = keys.caller(b"other")
    assert other is not None
    assert other.name == "other"


@given(st.binary(max_size=80))
def test_nothing_else_is_a_key(presented: bytes) -> None:
    assert ApiKeys([entry("rk_right")]).caller(presented) is None


def test_wrong_keys_leave_nothing_behind() -> None:
    keys = ApiKeys([entry("rk_right")])
    for number in range(1_000):
        assert keys.caller(f"rk_{number}".encode()) is None
    assert keys.caller(b"rk_right") is not None
    assert len(keys._recognised) == 1


def test_the_hash_itself_is_no_key() -> None:
    configured = entry("rk_right")
    assert ApiKeys([configured]).caller(configured.sha256.encode()) is None
    assert ApiKeys([configured]).caller(bytes.fromhex(configured.sha256)) is None


def test_recognising_a_key_costs_microseconds_however_many_there_are() -> None:
    keys = ApiKeys([entry(f"rk_{number}", str(number)) for number in range(1_000)])
    keys.caller(b"rk_999")
    started = time.perf_counter()
    for _ in range(1_000):
        keys.caller(b"rk_999")
    assert time.perf_counter() - started < 0.05  # 50 us each on the slowest machine; about 1 us here


def test_new_keys_are_long_and_never_the_same() -> None:
    made = {new_key()[0] for _ in range(100)}
    assert len(made) == 100
    assert all(key.startswith("rk_") and len(key) >= 46 for key in made)


def test_what_is_printed_for_a_new_key_can_be_configured_as_it_stands(tmp_path: Path) -> None:
    text = describe_new_key('the "shop": main', ["read", "write"])
    key = text.partition("key (shown only now): ")[2].partition("\n")[0]
    file = tmp_path / "keys.yaml"
    file.write_text(text.splitlines()[-1], encoding="utf-8")
    [configured] = read_keys_file(file)
    assert (configured.name, configured.scopes) == ('the "shop": main', ["read", "write"])
    assert ApiKeys([configured]).caller(key.encode()) is not None
    assert key not in file.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sha256": "rk_secret"}, "must be 64 hexadecimal digits"),
        ({"sha256": "A" * 64}, "must be 64 hexadecimal digits"),
        ({"name": " "}, "name must not be empty"),
        ({"scopes": []}, "at least one of read, write, admin"),
        ({"scopes": ["root"]}, "Invalid enum value 'root'"),
    ],
)
def test_a_bad_entry_is_refused_without_showing_a_secret(
    change: dict[str, object], message: str, tmp_path: Path
) -> None:
    document = {"name": "shop", "sha256": "0" * 64, "scopes": ["read"], **change}
    file = tmp_path / "keys.yaml"
    file.write_text(msgspec.yaml.encode([document]).decode(), encoding="utf-8")
    with pytest.raises(ConfigError, match=message) as refused:
        read_keys_file(file)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("text", ["{", "just words", "- 1"])
def test_a_file_that_holds_no_keys_is_refused_by_its_name(text: str, tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"keys\.yaml: expected a list of keys"):
        read_keys_file(file)


def test_a_missing_file_is_refused_and_an_empty_one_holds_no_keys(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        read_keys_file(tmp_path / "nowhere")
    (tmp_path / "empty").touch()
    assert read_keys_file(tmp_path / "empty") == []
    assert not ApiKeys([])


def test_names_and_keys_are_given_once() -> None:
    require_distinct([entry("a", "one"), entry("b", "two")])
    with pytest.raises(ValueError, match="differ in name, which key 'one' shares"):
        require_distinct([entry("a", "one"), entry("b", "one")])
    with pytest.raises(ValueError, match="differ in sha256"):
        require_distinct([entry("a", "one"), entry("a", "two")])


def test_the_entry_is_plain_yaml() -> None:
    assert isinstance(parse_yaml(describe_new_key("x", ["admin"]).splitlines()[-1]), list)
