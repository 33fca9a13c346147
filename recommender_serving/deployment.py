"""The models that answer at one moment."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from recommender_serving.engine.champion_pointer import ChampionPointer
from recommender_serving.engine.manifest import Position
from recommender_serving.errors import AlgorithmNotDeployedError
from recommender_serving.snapshot import Snapshot


@dataclass(frozen=True, slots=True, eq=False)
class Deployment:
    """What one reference is swapped for another of: a request takes one and answers from it alone.

    Attributes:
        pointer: Names the champion and the other deployed models.
        champion: Answers unless another algorithm is asked for.
        by_algorithm: Algorithm -> its deployed model, the champion among them.
        by_version: Version -> model; beside the deployed ones those that experiments name.
    """

    pointer: ChampionPointer
    champion: Snapshot
    by_algorithm: Mapping[str, Snapshot]
    by_version: Mapping[str, Snapshot]

    def of(self, algorithm: str | None) -> Snapshot:
        """The deployed model of an algorithm; the champion if none is named.

        Raises:
            AlgorithmNotDeployedError: no model of the algorithm is in service.
        """
        if algorithm is None:
            return self.champion
        if algorithm not in self.by_algorithm:
            raise AlgorithmNotDeployedError(
                f"algorithm: expected one in service ({', '.join(sorted(self.by_algorithm))}), got {algorithm}"
            )
        return self.by_algorithm[algorithm]

    @property
    def versions(self) -> frozenset[str]:
        """Versions of all models."""
        return frozenset(self.by_version)


def start_of(position: Position, topic_id: str) -> dict[int, int]:
    """Partition -> first offset that is not inside a model, in the topic of that id; {} = none of it is inside."""
    if topic_id and position.topic_id and position.topic_id != topic_id:
        return {}
    return {int(partition): offset for partition, offset in position.next_offsets.items()}


def earliest(starts: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """Partition -> smallest offset; a partition that one of them does not name is needed whole, so it is not named."""
    first, *others = starts
    return {
        partition: min(offset, *(other[partition] for other in others)) if others else offset
        for partition, offset in first.items()
        if all(partition in other for other in others)
    }
