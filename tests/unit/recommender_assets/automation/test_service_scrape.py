import re
import socket
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender_assets.automation.service_scrape import (
    Counts,
    Scrape,
    ServiceUnreachableError,
    parse,
    replicas_of,
    scrape,
    scrape_all,
)
from tests.factories import make_model
from tests.unit.recommender_serving.server import listening, wait_until_ready
from tests.unit.recommender_serving.service import Service

count = st.integers(0, 10**6).map(float)
counts = st.builds(
    Counts,
    requests=count,
    errors=count,
    lists=count,
    popular=count,
    within=st.fixed_dictionaries({"0.5": count, "+Inf": count}),
)


def scrape_of(found: Counts, started: float = 1.0) -> Scrape:
    return Scrape(version="svd-1", started=started, counts=found)


def test_the_real_service_is_read(tmp_path: Path) -> None:
    service = Service(tmp_path)
    service.publish(make_model(version="svd-1"))
    with listening(service) as url:
        wait_until_ready(url)
        before = scrape(url)
        for user in ("u0", "u1", "nobody"):
            assert httpx.get(f"{url}/recommendations/user/{user}").status_code == 200
        assert httpx.get(f"{url}/recommendations/user/u0", params={"num_recommendations": 99}).status_code == 400
        assert httpx.get(f"{url}/items/popular").status_code == 200
        after = scrape(f"{url}/")
    assert (before.version, after.version) == ("svd-1", "svd-1")
    assert before.counts.requests == 0
    found = after.since(before)
    assert (found.requests, found.errors, found.lists, found.popular) == (4, 0, 3, 1)
    assert found.within["+Inf"] == 4
    assert list(found.within.values()) == sorted(found.within.values())


def test_before_a_champion_the_service_serves_none(tmp_path: Path) -> None:
    with listening(Service(tmp_path)) as url:
        assert httpx.get(f"{url}/recommendations/user/u0").status_code == 503
        found = scrape(url)
    assert found.version == ""
    assert (found.counts.requests, found.counts.errors) == (1, 1)


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "http://[bad"])
def test_who_does_not_answer_is_named(address: str) -> None:
    with pytest.raises(ServiceUnreachableError, match=re.escape(f"the service at {address} gives no metrics")):
        scrape(address)


@pytest.mark.parametrize("text", ["", "<html></html>", "up 1\n"])
def test_what_is_no_metrics_of_a_service_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse(text)


def test_a_name_stands_for_all_its_replicas(monkeypatch: pytest.MonkeyPatch) -> None:
    places = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 8000)) for ip in ("10.0.0.2", "10.0.0.1", "10.0.0.2")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: places)
    assert replicas_of("http://service:8000") == ["http://10.0.0.1:8000", "http://10.0.0.2:8000"]
    assert replicas_of("https://service") == ["https://service"]


@pytest.mark.parametrize("address", ["http://127.0.0.1:8000", "http://no-such-host.invalid:1", "http://[bad"])
def test_an_address_stays_as_it_is(address: str) -> None:
    assert replicas_of(address) == [address]


def test_each_replica_is_asked_once_and_those_that_are_silent_are_named(tmp_path: Path) -> None:
    with listening(Service(tmp_path)) as url:
        found, silent = scrape_all([url, "http://127.0.0.1:9", url])
    assert list(found) == [url]
    assert len(silent) == 1
    assert "http://127.0.0.1:9" in silent[0]


@given(before=counts, more=counts)
def test_what_is_counted_since_is_what_was_added(before: Counts, more: Counts) -> None:
    assert scrape_of(before + more).since(scrape_of(before)) == more


@given(before=counts, after=counts)
def test_a_process_started_anew_is_counted_from_its_first_scrape(before: Counts, after: Counts) -> None:
    assert scrape_of(after, started=2.0).since(scrape_of(before)) == Counts()


@given(before=counts, after=counts)
def test_nothing_is_ever_counted_negatively_or_beyond_what_is_there(before: Counts, after: Counts) -> None:
    found = scrape_of(after).since(scrape_of(before))
    pairs = [(found.requests, after.requests), (found.errors, after.errors), (found.lists, after.lists)]
    pairs += [(found.popular, after.popular), *((found.within.get(bound, 0), n) for bound, n in after.within.items())]
    assert all(0 <= since <= now for since, now in pairs)
