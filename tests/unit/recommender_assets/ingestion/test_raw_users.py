import pytest

from recommender_assets.ingestion.raw_users import users_of_record, users_of_row

USERS = {"u1", "7", 'quo"te', "ü"}


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        (None, None, set()),
        (b"u1", None, {"u1"}),
        (b"other", b'{"user_id": "u1"}', {"u1"}),
        (b"7", b'{"user_id": "u1"}', {"7", "u1"}),
        (None, b'{"user_id": 7, "rating": 99}', {"7"}),
        (None, b'{"user_id": "77", "item_id": "u1"}', set()),
        (None, b'{"user_id": ["u1"]}', set()),
        (None, b'["u1"]', set()),
        (None, b'{"rating": NaN, "user_id": "u1"}', {"u1"}),
        (None, b'{"user_id" : 7, "item_id": "a', {"7"}),
        (None, b'\xff\xfe{"user_id": "u1"}', {"u1"}),
        (None, b'{"user_id": "quo\\"te", "rating": NaN}', {'quo"te'}),
        (None, b'{"user_id": "\\u00fc", "rating": NaN}', {"ü"}),
        (None, '{"user_id": "ü"}'.encode(), {"ü"}),
        (None, b'{"user_id": "\xc3\x28", "rating": NaN}', set()),
        (None, b"[" * 20_000, set()),
        (b"\xff", b"no json at all, u1", set()),
    ],
)
def test_a_record_names_its_key_and_the_user_of_its_value(
    key: bytes | None, value: bytes | None, named: set[str]
) -> None:
    assert users_of_record(key, value, USERS) == named


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (None, set()),
        ('{"who": "u1", "rating": "99"}', {"u1"}),
        ('{"who": "5", "rating": "7"}', set()),
        ("u1,12,4.0,1,2,3", {"u1"}),
        ('12;"7";x', {"7"}),
        ("u11,70", set()),
    ],
)
def test_a_row_of_the_history_names_its_user(text: str | None, named: set[str]) -> None:
    assert users_of_row(text, "who", USERS) == named
