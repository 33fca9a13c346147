import pytest

from recommender_serving.engine.yaml_document import YamlError, parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 0.0001),
        ("-.5", -0.5),
        ("1.", 1.0),
        ("500_000", 500_000),
        ("017", "017"),
        ("0", 0),
        ("12:30", "12:30"),
        ("no", "no"),
        ("true", True),
        ("~", None),
        ("", None),
        ("2014-12", "2014-12"),
        ("2014-12-31", "2014-12-31"),
        ("10 seconds", "10 seconds"),
        ("localhost:9092", "localhost:9092"),
        ("[1, a]", [1, "a"]),
        ("{a: {b: 1}}", {"a": {"b": 1}}),
    ],
)
def test_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    parsed = parse_yaml(text)
    assert parsed == value
    assert type(parsed) is type(value)


def test_anchors_can_be_merged() -> None:
    assert parse_yaml("a: &x {k: 1}\nb:\n  <<: *x\n  l: 2")["b"] == {"k": 1, "l": 2}


def test_a_repeated_key_is_refused() -> None:
    with pytest.raises(YamlError, match="'port' is repeated"):
        parse_yaml("port: 1\nhost: a\nport: 2")


@pytest.mark.parametrize("text", ["[1", "a: b: c", "\x00", "!!python/object:os.system {}", "? [a]\n: 1", "[" * 5_000])
def test_what_is_not_plain_yaml_is_refused(text: str) -> None:
    with pytest.raises(YamlError):
        parse_yaml(text)
