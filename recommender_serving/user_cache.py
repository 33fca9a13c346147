"""What is kept of recently asked users: their solved state and rendered lists, within a number of bytes."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from recommender_serving.rendered_list import RenderedList

S = TypeVar("S")

_BYTES_PER_USER = 1_200  # Python objects of one entry, beside its arrays and lists


class CachedUser(Generic[S]):
    """One user's state with the lists rendered from it.

    Attributes:
        state: What the lists are made from.
        version: Of the user's events, that the state was made from.
        generation: Of the new items that the lists have been checked against.
        lists: What was asked for -> rendered list.
        size: Bytes that the cache counts for the entry.
    """

    __slots__ = ("generation", "lists", "size", "state", "version")

    def __init__(self, state: S, version: int, size: int) -> None:
        self.state = state
        self.version = version
        self.generation = 0
        self.lists: dict[Hashable, RenderedList] = {}
        self.size = size


class UserCache(Generic[S]):
    """Users by id; the one that was not asked for longest goes first.

    A list is kept inside the entry of the state that it was made from. Putting a new state drops the lists of the old
    one, and a list that is finished only afterwards lands in an entry that nobody finds any more.

    Args:
        capacity: Bytes that all entries may have together.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._users: OrderedDict[str, CachedUser[S]] = OrderedDict()
        self.size = 0

    def __len__(self) -> int:
        return len(self._users)

    def get(self, user_id: str) -> CachedUser[S] | None:
        """The user's entry, if it is kept."""
        user = self._users.get(user_id)
        if user is not None:
            self._users.move_to_end(user_id)
        return user

    def latest(self) -> list[tuple[str, list[Hashable]]]:
        """Users with the keys of their lists, from the one who asked last."""
        return [(user_id, list(user.lists)) for user_id, user in reversed(self._users.items())]

    def put(self, user_id: str, state: S, version: int, state_bytes: int) -> CachedUser[S]:
        """Keep a new state; lists made from an older one are dropped."""
        old = self._users.pop(user_id, None)
        self.size -= old.size if old is not None else 0
        user = self._users[user_id] = CachedUser(state, version, _BYTES_PER_USER + state_bytes)
        self._grow(user.size)
        return user

    def add_list(self, user_id: str, user: CachedUser[S], key: Hashable, rendered: RenderedList) -> None:
        """Keep a list that was made from the state of this very entry."""
        user.lists[key] = rendered
        if self._users.get(user_id) is user:
            user.size += rendered.size
            self._grow(rendered.size)

    def recheck(self, user_id: str, user: CachedUser[S], generation: int, best_new_score: float) -> None:
        """Drop the lists that the new items of this generation change.

        Args:
            user_id: Whose entry it is.
            user: The entry.
            generation: Of the new items.
            best_new_score: The greatest score of a new item for the user, -inf without any.
        """
        user.generation = generation
        changed = [key for key, rendered in user.lists.items() if not rendered.floor >= best_new_score]
        freed = sum(user.lists.pop(key).size for key in changed)
        if self._users.get(user_id) is user:
            user.size -= freed
            self.size -= freed

    def _grow(self, size: int) -> None:
        self.size += size
        while self.size > self._capacity and len(self._users) > 1:
            _, oldest = self._users.popitem(last=False)
            self.size -= oldest.size
