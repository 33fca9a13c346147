"""Which variant of an experiment a user sees: computed from their id alone, so every replica and every day agree."""

import hashlib
from itertools import accumulate

import msgspec

from recommender_serving.engine.experiment_definition import ExperimentDefinition

_UNIT = 2.0**-64


class Assignment(msgspec.Struct, frozen=True):
    """The variant that a user sees in an experiment; `forced` ones are left out of the analysis."""

    experiment: str
    variant: str
    forced: bool = False


class UniformHash:
    """Two independent uniform numbers in [0, 1) per user, by BLAKE2b keyed with a salt."""

    def __init__(self, salt: str) -> None:
        self._keyed = hashlib.blake2b(digest_size=16, key=hashlib.blake2b(salt.encode(), digest_size=32).digest())

    def __call__(self, user_id: str) -> tuple[float, float]:
        """The user's two numbers; the same for ever."""
        state = self._keyed.copy()
        state.update(user_id.encode())
        digest = state.digest()
        return int.from_bytes(digest[:8], "big") * _UNIT, int.from_bytes(digest[8:], "big") * _UNIT


class Assigner:
    """Assigns users to the variants of one experiment: deterministic, sticky, independent of other experiments.

    One number decides whether a user takes part, another which variant they see: raising the traffic share adds users
    and moves none. A user of an exclusion group takes part in at most the one experiment whose slice they fall into.
    """

    def __init__(self, definition: ExperimentDefinition) -> None:
        self.definition = definition
        self._hash = UniformHash(f"experiment\0{definition.name}")
        self._group_hash = UniformHash(f"group\0{definition.slice.group}") if definition.slice else None
        shares = definition.shares
        self._bounds = tuple(zip(accumulate(shares.values()), shares, strict=True))

    def assign(self, user_id: str) -> Assignment | None:
        """The user's variant, None if they do not take part."""
        definition = self.definition
        forced = definition.forced.get(user_id)
        if forced is not None:
            return Assignment(definition.name, forced, forced=True)
        if self._group_hash is not None and definition.slice is not None:
            place, _ = self._group_hash(user_id)
            if not definition.slice.start <= place < definition.slice.end:
                return None
        entry, choice = self._hash(user_id)
        if entry >= definition.traffic_share:
            return None
        arm = next((arm for bound, arm in self._bounds if choice < bound), self._bounds[-1][1])
        return Assignment(definition.name, arm)
