from pathlib import Path

import msgspec
import pytest

from recommender_serving.engine.config import (
    SECTIONS,
    ConfigError,
    EventWeights,
    RatingScale,
    StorageSettings,
    StreamingSettings,
    read_config,
    section,
)


class Inner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    factors: int = 100
    names: list[str] = []


class Outer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    svd: Inner = Inner()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text("storage: {root: data}\nmodels:\n  svd: {factors: 10}\napi:\n", encoding="utf-8")
    return path


def read(path: Path, **overrides: str) -> dict[str, object]:
    return read_config(path, {f"RECOMMENDER__{name}": value for name, value in overrides.items()})


def test_the_repositorys_own_configuration_is_valid() -> None:
    config = read_config(Path("config.yaml"), {})
    assert set(config) <= SECTIONS
    assert section(config, "ratings", RatingScale) == RatingScale(min=0.5, max=5.0)
    assert section(config, "events.weights", EventWeights) == EventWeights()
    assert section(config, "streaming", StreamingSettings).topic == "user_interactions"


def test_the_path_comes_from_the_environment(file: Path) -> None:
    assert read_config(None, {"RECOMMENDER_CONFIG": str(file)})["storage"] == {"root": "data"}


def test_the_default_path_is_in_the_working_directory(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    monkeypatch.delenv("RECOMMENDER_CONFIG", raising=False)
    assert read_config(environ={})["storage"] == {"root": "data"}


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml: expected a readable configuration file"):
        read_config(tmp_path / "absent.yaml", {})


def test_sections_left_out_or_empty_have_defaults(file: Path) -> None:
    config = read(file)
    assert section(config, "events.weights", EventWeights) == EventWeights()
    assert section(config, "api", Inner) == Inner()
    assert section(config, "models.svd", Inner).factors == 10


@pytest.mark.parametrize("name", ["RECOMMENDER__MODELS__SVD__FACTORS", "recommender__models__Svd__factors"])
def test_the_environment_overrides_in_any_case(file: Path, name: str) -> None:
    assert section(read_config(file, {name: "7"}), "models.svd", Inner).factors == 7


def test_the_environment_adds_sections_and_structures(file: Path) -> None:
    config = read(file, EVENTS__WEIGHTS__VIEW="1e-3", MODELS__SVD__NAMES="[a, b]")
    assert section(config, "events.weights", EventWeights).view == 0.001
    assert section(config, "models.svd", Inner).names == ["a", "b"]


def test_unrelated_variables_are_ignored(file: Path) -> None:
    assert "x" not in read_config(file, {"RECOMMENDER_X": "1", "PATH": "/bin"})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("APPI__PORT", "1", "appi: unknown section, expected one of access, api"),
        ("STORAGE", "x", "RECOMMENDER__STORAGE: expected a name like RECOMMENDER__SECTION__KEY"),
        ("STORAGE____ROOT", "x", "expected a name like"),
        ("STORAGE__ROOT__DEEP", "x", "expected storage.root to be a mapping, got str 'data'"),
        ("STORAGE__ROOT", "[1", "RECOMMENDER__STORAGE__ROOT: expected YAML"),
        ("EVENTS__WEIGTHS__VIEW", "1", "events.weigths: unknown key, expected weights"),
    ],
)
def test_a_wrong_override_is_named(file: Path, name: str, value: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read(file, **{name: value})
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense: {}", "nonsense: unknown section, expected one of access, api"),
        ("1: {}", "1: unknown section"),
        ("storage: 5", "storage: expected a mapping, got int 5"),
        ("- a", "expected a mapping of sections, got list ['a']"),
        ("api: {port: 1, port: 2}", "'port' is repeated"),
        ("a: b: c", "expected YAML"),
    ],
)
def test_a_wrong_file_is_named(file: Path, text: str, message: str) -> None:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        read(file)
    assert message in str(raised.value)


def test_an_empty_file_is_all_defaults(file: Path) -> None:
    file.write_text("", encoding="utf-8")
    assert read(file) == {}


def test_a_file_that_is_not_text_is_an_error(file: Path) -> None:
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="readable"):
        read(file)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"svd": {"factors": "x"}}, "models.svd.factors: expected int, got str 'x'"),
        ({"svd": {"factors": True}}, "models.svd.factors: expected int, got bool True"),
        ({"svd": {"factors": 1.5}}, "models.svd.factors: expected int, got float 1.5"),
        ({"svd": {"factors": None}}, "models.svd.factors: expected int, got null"),
        ({"svd": {"names": ["a", 3]}}, "models.svd.names[1]: expected str, got int 3"),
        ({"svd": {"factor": 1}}, "models.svd.factor: unknown key, expected one of factors, names"),
        ({"svg": {}}, "models.svg: unknown key, expected one of svd"),
        ({"svd": 3}, "models.svd: expected object, got int 3"),
    ],
)
def test_a_wrong_value_is_named_with_its_path(config: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        section({"models": config}, "models", Outer)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("path", "type_", "values"),
    [
        ("ratings", RatingScale, {"min": 5, "max": 1}),
        ("ratings", RatingScale, {"min": float("nan")}),
        ("ratings", RatingScale, {"max": float("inf")}),
        ("weights", EventWeights, {"view": 0}),
        ("weights", EventWeights, {"lowest_rating": -1}),
        ("weights", EventWeights, {"purchase": float("nan")}),
        ("streaming", StreamingSettings, {"kafka_bootstrap_servers": "localhost"}),
        ("streaming", StreamingSettings, {"kafka_bootstrap_servers": "a:1,,b:2"}),
        ("streaming", StreamingSettings, {"topic": "a b"}),
        ("streaming", StreamingSettings, {"topic": ".."}),
        ("streaming", StreamingSettings, {"batch_interval": "soon"}),
        ("streaming", StreamingSettings, {"batch_interval": "0 seconds"}),
        ("streaming", StreamingSettings, {"partitions": 0}),
        ("streaming", StreamingSettings, {"max_records_per_batch": -1}),
        ("storage", StorageSettings, {"root": " "}),
        ("storage", StorageSettings, {"root": "s3://bucket/data"}),
    ],
)
def test_shared_sections_check_their_values(path: str, type_: type, values: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as raised:
        section({path: values}, path, type_)
    assert str(raised.value).startswith(f"{path}: {next(iter(values)) if path != 'ratings' else 'min'} must be")
