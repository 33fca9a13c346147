import pytest

from recommender_serving.access.cross_origin import CrossOrigin

SHOP = b"https://shop.example"


def test_an_allowed_origin_is_named_and_another_gets_nothing_but_vary() -> None:
    rules = CrossOrigin(["https://shop.example"])
    headers = dict(rules.headers(SHOP))
    assert headers[b"access-control-allow-origin"] == SHOP
    assert headers[b"vary"] == b"Origin"
    assert b"X-Request-ID" in headers[b"access-control-expose-headers"]
    assert rules.headers(b"https://evil.example") == [(b"vary", b"Origin")]
    assert rules.preflight_headers(b"https://evil.example") == []
    assert b"Authorization" in dict(rules.preflight_headers(SHOP))[b"access-control-allow-headers"]


def test_a_star_allows_all_without_naming_them() -> None:
    assert dict(CrossOrigin(["*"]).headers(SHOP))[b"access-control-allow-origin"] == b"*"


@pytest.mark.parametrize(
    "origin", [b"https://shop.example.evil", b"http://shop.example", b"https://shop.example:8443", b"null", b""]
)
def test_only_the_very_origin_is_allowed(origin: bytes) -> None:
    assert not CrossOrigin(["https://shop.example"]).allows(origin)


@pytest.mark.parametrize(
    ("origin", "trusted"),
    [
        (b"http://localhost:8000", True),
        (b"http://127.0.0.1:8000", True),
        (b"http://[::1]:8000", True),
        (SHOP, True),
        (b"https://evil.example", False),
        (b"http://127.0.0.1.evil.example", False),
        (b"null", False),
        (b"\xff://", False),
        (b"http://[broken", False),
    ],
)
def test_pages_of_this_machine_and_named_ones_may_write_without_a_key(origin: bytes, *, trusted: bool) -> None:
    assert CrossOrigin(["https://shop.example"]).trusts(origin) is trusted


def test_a_star_is_no_trust() -> None:
    assert not CrossOrigin(["*"]).trusts(b"https://evil.example")
