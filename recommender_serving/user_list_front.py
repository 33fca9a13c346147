"""The fast path: plain requests for one user's list are answered here, before Litestar's routing and validation."""

import logging
from collections.abc import Mapping
from urllib.parse import parse_qsl

from litestar.types import HTTPScope

from recommender_serving.access.conditional import REVALIDATE
from recommender_serving.access.gate import WholeAnswer
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
_JSON = (b"content-type", b"application/json")

logger = logging.getLogger(__name__)


class UserListFront:
    """Answers `GET /recommendations/user/{user_id}`.

    A request that is unusual or wrong is left alone: the route of the same address answers it or says what is wrong
    with it.

    Args:
        champion: Says whether there is a model.
        lists: Answers.
        longest: Largest `num_recommendations`.
    """

    def __init__(self, champion: Champion, lists: UserLists, longest: int) -> None:
        self._champion = champion
        self._lists = lists
        self._longest = longest
        self._queries: dict[bytes, ListParameters | None] = {}

    async def answer(self, scope: HTTPScope, headers: Mapping[bytes, bytes]) -> WholeAnswer | None:
        """The answer to one request, or None if it is for Litestar to answer.

        Args:
            scope: ASGI scope of the request, its path as it is routed.
            headers: The request's headers, names in lower case.
        """
        path = scope["path"]
        if not path.startswith(_PREFIX) or scope["method"] != "GET" or not self._champion.ready:
            return None
        encoded_user_id, parameters = path[len(_PREFIX) :], self._parameters(scope["query_string"])
        if parameters is None or "/" in encoded_user_id:
            return None
        try:
            user_id = decoded_user_id(encoded_user_id)
            body, tag, is_known = await self._lists.answer(user_id, parameters, headers.get(b"if-none-match"))
        except ServiceError:
            return None
        except Exception:
            logger.exception("the fast path failed")
            return None
        scope["path_template"] = ROUTE
        if is_known:
            return WholeAnswer(304, [(b"etag", tag), REVALIDATE], b"")
        return WholeAnswer(200, [_JSON, (b"content-length", b"%d" % len(body)), (b"etag", tag), REVALIDATE], body)

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
