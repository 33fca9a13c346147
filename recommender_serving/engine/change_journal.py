"""Which user had an event at which change, in order: who changed since, and who has been silent for longest."""

from collections.abc import Mapping

_TRIMMED_AT_ONCE = 65_536


class ChangeJournal:
    """Changes are numbered from 1 on; the journal forgets those before the longest silent user's last one.

    Attributes:
        last: Number of the last change.
    """

    def __init__(self) -> None:
        self.last = 0
        self._users: list[str] = []  # of the changes that are kept
        self._passed = 0  # so many of them have been handed out by `next_silent`

    def __len__(self) -> int:
        """Changes that `next_silent` has not come to."""
        return len(self._users) - self._passed

    def add(self, user_id: str) -> int:
        """Note a change of a user and number it."""
        self._users.append(user_id)
        self.last += 1
        return self.last

    def since(self, change: int) -> list[str] | None:
        """Users who changed after that one, each once; None if it is too long ago to tell."""
        kept_from = self.last - len(self._users)
        return list(dict.fromkeys(self._users[change - kept_from :])) if change >= kept_from else None

    def next_silent(self, versions: Mapping[str, int]) -> str | None:
        """The user whose last change is the oldest; each is handed out once, None when there is nobody left.

        Args:
            versions: User -> number of the last change.
        """
        while self._passed < len(self._users):
            user_id = self._users[self._passed]
            number = self.last - len(self._users) + self._passed + 1
            self._passed += 1
            self._trim()
            if versions.get(user_id) == number:
                return user_id
        return None

    def _trim(self) -> None:
        if self._passed >= _TRIMMED_AT_ONCE:
            del self._users[: self._passed]
            self._passed = 0
