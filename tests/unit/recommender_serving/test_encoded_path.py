from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar.types import Receive, Scope, Send

from recommender_serving.encoded_path import EncodedPath, decoded_user_id
from recommender_serving.errors import InvalidUserIdError

ids = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=256)


@given(ids)
def test_every_allowed_id_survives_encoding(user_id: str) -> None:
    assert decoded_user_id(quote(user_id, safe="")) == user_id


@pytest.mark.parametrize(
    ("encoded", "rule"),
    [("", "1 to 256"), ("x" * 257, "got 257"), ("%00", "control"), ("a%1Fb", "control"), ("%C3%28", "UTF-8")],
)
def test_other_ids_are_refused_by_the_rule_they_break(encoded: str, rule: str) -> None:
    with pytest.raises(InvalidUserIdError, match=rule):
        decoded_user_id(encoded)


async def test_routing_sees_the_encoded_path_without_the_query() -> None:
    paths = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        paths.append(scope["path"])

    scope = {"type": "http", "path": "/a/b/c", "raw_path": b"/a/b%2Fc?x=%2F"}
    await EncodedPath(app)(scope, None, None)  # type: ignore[arg-type]
    assert paths == ["/a/b%2Fc"]
