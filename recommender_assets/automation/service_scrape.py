"""What the replicas of the service say about themselves at `/metrics`: counts of its requests for recommendations."""

import socket
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

import httpx
import msgspec
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

ROUTES = "/recommendations"  # requests that the champion answers
TIMEOUT_SECONDS = 2.0

_SERVER_ERROR = 500
_AT_ONCE = 16


class ServiceUnreachableError(ConnectionError):
    """A replica did not answer, or not with metrics of the service."""


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of requests for recommendations.

    Attributes:
        requests: all of them.
        errors: those answered with a status of 500 or more.
        lists: served lists.
        popular: those that were the popular list.
        within: upper bound in seconds as Prometheus writes it -> requests that took at most as long.
    """

    requests: float = 0.0
    errors: float = 0.0
    lists: float = 0.0
    popular: float = 0.0
    within: dict[str, float] = {}

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            requests=self.requests + other.requests,
            errors=self.errors + other.errors,
            lists=self.lists + other.lists,
            popular=self.popular + other.popular,
            within=self.within | {bound: self.within.get(bound, 0.0) + count for bound, count in other.within.items()},
        )


class Scrape(msgspec.Struct, frozen=True, kw_only=True):
    """A replica at one moment.

    Attributes:
        version: the champion that it serves, empty if none.
        started: Unix time of its process, whose counts began at zero.
        counts: since then.
    """

    version: str
    started: float
    counts: Counts

    def since(self, before: "Scrape") -> Counts:
        """What was counted since an earlier scrape; nothing if the process was started anew in between.

        A new process fails requests until it has loaded the champion, which says nothing about the champion.
        """
        now, then = self.counts, before.counts
        pairs = [(now.requests, then.requests), (now.errors, then.errors), (now.lists, then.lists)]
        pairs += [(now.popular, then.popular), *((now.within.get(b, 0.0), count) for b, count in then.within.items())]
        if self.started != before.started or any(later < earlier for later, earlier in pairs):
            return Counts()
        return Counts(
            requests=now.requests - then.requests,
            errors=now.errors - then.errors,
            lists=now.lists - then.lists,
            popular=now.popular - then.popular,
            within={bound: count - then.within.get(bound, 0.0) for bound, count in now.within.items()},
        )


def scrape_all(addresses: Iterable[str]) -> tuple[dict[str, Scrape], list[str]]:
    """Scrapes by address of a replica, and a message for each replica that gave none."""
    replicas = list(dict.fromkeys(replica for address in addresses for replica in replicas_of(address)))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = dict(zip(replicas, pool.map(_scrape_or_error, replicas), strict=True))
    found = {replica: answer for replica, answer in answers.items() if isinstance(answer, Scrape)}
    return found, [str(answer) for answer in answers.values() if isinstance(answer, ServiceUnreachableError)]


def replicas_of(address: str) -> list[str]:
    """One address for each IPv4 address that a name stands for, as for a headless service in Kubernetes.

    Counts of different replicas must not be taken for those of one. A name that is not known stays as it is, and so
    does https, whose certificate is made out to the name.
    """
    try:
        url = httpx.URL(address)
        if url.scheme != "http":
            return [address]
        found = socket.getaddrinfo(url.host, url.port or 80, socket.AF_INET, socket.SOCK_STREAM)
    except (OSError, UnicodeError, httpx.InvalidURL):
        return [address]
    return sorted({str(url.copy_with(host=str(place[0]))) for *_, place in found})


def scrape(address: str) -> Scrape:
    """Read the metrics of a replica.

    Args:
        address: like `http://127.0.0.1:8000`.

    Raises:
        ServiceUnreachableError: it does not answer within two seconds, or these are no metrics.
    """
    try:
        answer = httpx.get(f"{address.rstrip('/')}/metrics", timeout=TIMEOUT_SECONDS)
        answer.raise_for_status()
        return parse(answer.text)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise ServiceUnreachableError(f"the service at {address} gives no metrics: {error}") from error


def parse(text: str) -> Scrape:
    """A scrape from Prometheus's text format.

    Raises:
        ValueError: this is not the text format, or not of this service.
    """
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    started = [sample.value for sample in samples if sample.name == "process_start_time_seconds"]
    if not started:
        raise ValueError("process_start_time_seconds is missing")
    duration = "recommender_http_request_duration_seconds"
    answered = [s for s in samples if s.name == f"{duration}_count" and _is_asked_for(s.labels)]
    lists = [s for s in samples if s.name == "recommender_recommendations_total"]
    within: dict[str, float] = {}
    for sample in samples:
        if sample.name == f"{duration}_bucket" and _is_asked_for(sample.labels):
            within[sample.labels["le"]] = within.get(sample.labels["le"], 0.0) + sample.value
    return Scrape(
        version=next((s.labels["version"] for s in samples if s.name == "recommender_champion_info" and s.labels), ""),
        started=started[0],
        counts=Counts(
            requests=_total(answered),
            errors=_total([s for s in answered if int(s.labels["status"]) >= _SERVER_ERROR]),
            lists=_total(lists),
            popular=_total([s for s in lists if s.labels["source"] == "popular"]),
            within=within,
        ),
    )


def _scrape_or_error(address: str) -> Scrape | ServiceUnreachableError:
    try:
        return scrape(address)
    except ServiceUnreachableError as error:
        return error


def _is_asked_for(labels: Mapping[str, str]) -> bool:
    return labels["route"].startswith(ROUTES)


def _total(samples: list[Sample]) -> float:
    return sum(sample.value for sample in samples)
