from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender_serving.encoded_path import decoded_item_id, decoded_user_id, encoded_path
from recommender_serving.errors import InvalidItemIdError, InvalidUserIdError

ids = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=256)


@given(ids)
def test_every_allowed_id_survives_encoding(user_id: str) -> None:
    assert decoded_user_id(quote(user_id, safe="")) == user_id


@pytest.mark.parametrize(
    ("encoded", "rule"),
    [
        ("", "1 to 256"),
        ("x" * 257, "got 257"),
        ("%00", "control"),
        ("a%1Fb", "control"),
        ("%C2%85", "control"),
        ("%C3%28", "UTF-8"),
        ("%ED%A0%80", "UTF-8"),
    ],
)
def test_other_ids_are_refused_by_the_rule_they_break(encoded: str, rule: str) -> None:
    with pytest.raises(InvalidUserIdError, match=rule):
        decoded_user_id(encoded)
    with pytest.raises(InvalidItemIdError, match=f"item_id: .*{rule}"):
        decoded_item_id(encoded)


@pytest.mark.parametrize(
    ("raw_path", "routed"), [(b"/a/b%2Fc?x=%2F", "/a/b%2Fc"), (b"/a/b", "/a/b"), (b"/a/\xe4?", "/a/\xe4")]
)
def test_routing_sees_the_encoded_path_without_the_query(raw_path: bytes, routed: str) -> None:
    assert encoded_path({"type": "http", "path": "/elsewhere", "raw_path": raw_path}) == routed  # type: ignore[typeddict-item]


@given(st.text(st.sampled_from("aZ09"), max_size=300))
def test_a_plain_id_is_judged_as_its_encoded_form_is(plain: str) -> None:
    """Letters and digits take a shorter way."""
    outcomes = []
    for encoded in (plain, "".join(f"%{byte:02x}" for byte in plain.encode())):
        try:
            outcomes.append(decoded_user_id(encoded))
        except InvalidUserIdError as error:
            outcomes.append(error.detail)
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("encoded", ["%", "a%", "%4", "%zz", "%4g", "100%", "%%41", "% 41", "%u0041", "%C3%A4%"])
def test_a_percent_sign_that_encodes_nothing_is_refused(encoded: str) -> None:
    with pytest.raises(InvalidUserIdError, match="percent sign itself is %25"):
        decoded_user_id(encoded)


def test_the_longest_id_is_counted_in_characters_however_many_bytes_they_take() -> None:
    assert decoded_user_id(quote("日" * 256)) == "日" * 256
    with pytest.raises(InvalidUserIdError, match="got 257"):
        decoded_user_id(quote("日" * 257))


@given(ids)
def test_hexadecimal_digits_may_be_of_either_case(user_id: str) -> None:
    encoded = "".join(f"%{byte:02x}" for byte in user_id.encode())
    assert decoded_user_id(encoded) == decoded_user_id(encoded.upper()) == user_id


@given(st.text(st.characters(max_codepoint=126, min_codepoint=33), min_size=1, max_size=30))
def test_any_path_segment_is_an_id_or_refused(encoded: str) -> None:
    try:
        user_id = decoded_user_id(encoded)
    except InvalidUserIdError:
        return
    assert unquote(encoded) == user_id
    assert decoded_user_id(quote(user_id, safe="")) == user_id
