"""Simulated visitors at the real service: they tell what they like, look at lists, click, and rate what they know."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from recommender_assets.experiments.click_simulator import ClickModel, Visitor
from recommender_assets.experiments.simulation.calendar import Visit
from recommender_assets.experiments.simulation.population import Population
from recommender_assets.local.service_client import ServiceClient

LIST_LENGTH = 10
_CHUNK = 50  # visits between two looks at the progress; their events travel together
_CONNECTIONS = 4


@dataclass(frozen=True)
class ServedVisit:
    """What came of one visit: for each item clicked, the visitor's rating of it, None without an opinion."""

    user_id: str
    clicked: tuple[float | None, ...]


@dataclass(frozen=True)
class Crowd:
    """Visitors of one kind, by number.

    Attributes:
        names: visitor -> user id.
        population: whom they are drawn from.
        seed: of everything that they do.
        clicks: how they click.
        algorithm: the model they ask for, None = whatever the service decides.
    """

    names: Sequence[str]
    population: Population
    seed: int
    clicks: ClickModel = field(default_factory=ClickModel)
    algorithm: str | None = None

    def visit(self, address: str, day: int, visits: Sequence[Visit]) -> Iterator[list[ServedVisit]]:
        """Carry out the visits of a day over several connections, in any order; yields them as they are done."""
        chunks = [visits[start : start + _CHUNK] for start in range(0, len(visits), _CHUNK)]
        with ServiceClient(address) as service, ThreadPoolExecutor(_CONNECTIONS) as pool:
            yield from pool.map(lambda chunk: self._visit_together(service, day, chunk), chunks)

    def visitor(self, number: int) -> Visitor:
        """The same visitor for the same number, whatever came before."""
        return self.population.draw(np.random.default_rng((self.seed, number)))

    def _visit_together(self, service: ServiceClient, day: int, visits: Sequence[Visit]) -> list[ServedVisit]:
        visitors = {visit.visitor: self.visitor(visit.visitor) for visit in visits}
        told = [(self.names[visit.visitor], visitors[visit.visitor].told.items()) for visit in visits if visit.is_first]
        service.send_events([_event(user_id, item, rating) for user_id, ratings in told for item, rating in ratings])
        served, clicks = [], []
        for visit in visits:
            user_id = self.names[visit.visitor]
            answer = service.recommendations(user_id, LIST_LENGTH, self.algorithm)
            items = [entry["item_id"] for entry in answer["recommendations"]]
            kept = visitors[visit.visitor].kept
            clicked = self.clicks.clicks(items, kept, np.random.default_rng((self.seed, visit.visitor, day)))
            clicks += [
                {**_event(user_id, item, kept.get(item)), "ranking_id": answer["ranking_id"]} for item in clicked
            ]
            served.append(ServedVisit(user_id, tuple(kept.get(item) for item in clicked)))
        service.send_events(clicks)
        return served


def _event(user_id: str, item_id: str, rating: float | None) -> dict[str, Any]:
    """A rating of what the visitor has an opinion of, else a click."""
    event = {"user_id": user_id, "item_id": item_id, "timestamp": time.time_ns() // 1_000_000}
    return {**event, "event_type": "click"} if rating is None else {**event, "rating": rating}
