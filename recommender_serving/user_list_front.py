"""The fast path: plain requests for one user's list are answered here, before Litestar's routing and validation."""

import logging
from collections.abc import Iterator
from typing import NamedTuple, get_args
from urllib.parse import parse_qsl

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from recommender_serving.champion import Champion
from recommender_serving.encoded_path import decoded_user_id
from recommender_serving.engine.manifest import ALGORITHMS
from recommender_serving.errors import ServiceError
from recommender_serving.metrics import Metrics
from recommender_serving.snapshot import Source

ROUTE = "/recommendations/user/{user_id}"
DEFAULT_LENGTH = 10
_PREFIX = ROUTE.removesuffix("{user_id}")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_KEPT_QUERIES = 1_000

logger = logging.getLogger(__name__)


class Parameters(NamedTuple):
    """What a query string asks for."""

    num_recommendations: int = DEFAULT_LENGTH
    exclude_seen: bool = True
    algorithm: str | None = None


class UserListFront:
    """ASGI layer that answers `GET /recommendations/user/{user_id}` and hands everything else on.

    A request that is unusual or wrong is handed on as well: the route of the same address answers it or says what is
    wrong with it.

    Args:
        app: What answers everything else.
        champion: Answers.
        metrics: Where lists are counted.
        ranking_ids: A name for every list.
        longest: Largest `num_recommendations`.
    """

    def __init__(
        self, app: ASGIApp, champion: Champion, metrics: Metrics, ranking_ids: Iterator[bytes], longest: int
    ) -> None:
        self._app = app
        self._champion = champion
        self._served = {source: metrics.recommendations.labels(source) for source in get_args(Source)}
        self._ranking_ids = ranking_ids
        self._longest = longest
        self._queries: dict[bytes, Parameters | None] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == ScopeType.HTTP and scope["method"] == "GET" and scope["path"].startswith(_PREFIX):
            body = await self._list(scope["path"][len(_PREFIX) :], scope["query_string"])
            if body is not None:
                scope["path_template"] = ROUTE
                headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                await send({"type": "http.response.body", "body": body, "more_body": False})
                return
        await self._app(scope, receive, send)

    async def _list(self, encoded_user_id: str, query: bytes) -> bytes | None:
        """The answer's body, or None if it is for Litestar to answer."""
        parameters = self._parameters(query)
        if parameters is None or "/" in encoded_user_id or not self._champion.ready:
            return None
        try:
            user_id = decoded_user_id(encoded_user_id)
            source, body = await self._champion.deployed(parameters.algorithm).answer(
                user_id,
                parameters.num_recommendations,
                exclude_seen=parameters.exclude_seen,
                ranking_id=next(self._ranking_ids),
            )
        except ServiceError:
            return None
        except Exception:
            logger.exception("the fast path failed")
            return None
        self._served[source].inc()
        return body

    def _parameters(self, query: bytes) -> Parameters | None:
        """What a query string asks for; None if it is not entirely plain."""
        if query in self._queries:
            return self._queries[query]
        if len(self._queries) >= _KEPT_QUERIES:
            self._queries.clear()
        parameters = self._queries[query] = self._parsed(query)
        return parameters

    def _parsed(self, query: bytes) -> Parameters | None:
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
        given = dict(pairs)
        number = given.pop("num_recommendations", str(DEFAULT_LENGTH))
        exclude_seen = _BOOLEANS.get(given.pop("exclude_seen", "true"))
        algorithm = given.pop("algorithm", None)
        is_number = number.isascii() and number.isdecimal() and len(number) < 10
        if given or len({name for name, _ in pairs}) < len(pairs) or not is_number or exclude_seen is None:
            return None
        if algorithm not in {None, *ALGORITHMS}:
            return None
        return Parameters(int(number), exclude_seen, algorithm) if 1 <= int(number) <= self._longest else None
