"""The fast path: plain requests for one user's list are answered here, before Litestar's routing and validation."""

import logging
from urllib.parse import parse_qsl

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from recommender_serving.champion import Champion
from recommender_serving.encoded_path import decoded_user_id
from recommender_serving.engine.manifest import ALGORITHMS
from recommender_serving.errors import ServiceError
from recommender_serving.rendered_list import ListSettings
from recommender_serving.user_lists import DEFAULT_LENGTH, ListParameters, UserLists

ROUTE = "/recommendations/user/{user_id}"
_PREFIX = ROUTE.removesuffix("{user_id}")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_KEPT_QUERIES = 1_000

logger = logging.getLogger(__name__)


class UserListFront:
    """ASGI layer that answers `GET /recommendations/user/{user_id}` and hands everything else on.

    A request that is unusual or wrong is handed on as well: the route of the same address answers it or says what is
    wrong with it.

    Args:
        app: What answers everything else.
        champion: Says whether there is a model.
        lists: Answers.
        longest: Largest `num_recommendations`.
    """

    def __init__(self, app: ASGIApp, champion: Champion, lists: UserLists, longest: int) -> None:
        self._app = app
        self._champion = champion
        self._lists = lists
        self._longest = longest
        self._queries: dict[bytes, ListParameters | None] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == ScopeType.HTTP and scope["method"] == "GET" and scope["path"].startswith(_PREFIX):
            known = next((value for name, value in scope["headers"] if name == b"if-none-match"), None)
            body = await self._list(scope["path"][len(_PREFIX) :], scope["query_string"], known)
            if body is not None:
                scope["path_template"] = ROUTE
                headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                await send({"type": "http.response.body", "body": body, "more_body": False})
                return
        await self._app(scope, receive, send)

    async def _list(self, encoded_user_id: str, query: bytes, known: bytes | None) -> bytes | None:
        """The answer's body, or None if it is for Litestar to answer."""
        parameters = self._parameters(query)
        if parameters is None or "/" in encoded_user_id or not self._champion.ready:
            return None
        try:
            return await self._lists.answer(decoded_user_id(encoded_user_id), parameters, known)
        except ServiceError:
            return None
        except Exception:
            logger.exception("the fast path failed")
            return None

    def _parameters(self, query: bytes) -> ListParameters | None:
        """What a query string asks for; None if it is not entirely plain."""
        if query in self._queries:
            return self._queries[query]
        if len(self._queries) >= _KEPT_QUERIES:
            self._queries.clear()
        parameters = self._queries[query] = self._parsed(query)
        return parameters

    def _parsed(self, query: bytes) -> ListParameters | None:
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
        if not 1 <= int(number) <= self._longest:
            return None
        return ListParameters(ListSettings(int(number), exclude_seen), algorithm)
