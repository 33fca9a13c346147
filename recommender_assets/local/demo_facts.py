"""What the demo reads from the data: whom to ask for, what they liked, and what the system has done."""

from typing import Any

import numpy as np
import pyarrow.compute as pc

from recommender_assets.ingestion import sources
from recommender_assets.ingestion.tables import read_table
from recommender_assets.promotion.contest import load_contest
from recommender_assets.settings import Settings
from recommender_serving.engine.champion_pointer import read_pointer

RATINGS_OF_KNOWN_USER = 60


def known_user() -> str:
    """A user with about `RATINGS_OF_KNOWN_USER` ratings, always the same one."""
    counts = sources.ratings()["user_id"].value_counts()
    distance = np.abs(counts.field("counts").to_numpy() - RATINGS_OF_KNOWN_USER)
    nearest: list[str] = [
        user for user, far in zip(counts.field("values").to_pylist(), distance, strict=True) if far == distance.min()
    ]
    return min(nearest)


def liked_films(user_id: str, count: int) -> list[str]:
    """A user's best rated films, best and latest first, as lines like `5.0  Casablanca`."""
    rated = sources.ratings().filter(pc.field("user_id") == user_id)
    best = rated.sort_by([("rating", "descending"), ("timestamp", "descending")]).slice(0, count)
    films = sources.films()
    titles = dict(zip(films["item_id"].to_pylist(), films["title"].to_pylist(), strict=True))
    pairs = zip(best["rating"].to_pylist(), best["item_id"].to_pylist(), strict=True)
    return [f"{rating:.1f}  {titles[item]}" for rating, item in pairs]


def champion_facts(settings: Settings) -> dict[str, Any]:
    """The champion's algorithm, and the RMSE of the latest candidate of each algorithm on the hold-out."""
    pointer = read_pointer(settings.root)
    algorithm = {version: name for name, version in pointer.deployed.items()}[pointer.version] if pointer else None
    rmse = {c.algorithm: round(c.metrics["rmse"], 4) for c in load_contest(settings.root).candidates}
    return {"champion": algorithm, "rmse": dict(sorted(rmse.items(), reverse=True))}


def ingestion_facts(settings: Settings) -> dict[str, int]:
    """Events in `interactions` and records in `rejected_events`, as the ingestion ledger counts them."""
    ledger = read_table(settings.root, "ingestion_ledger", ["accepted", "duplicate", "rejected"])
    sums = {name: pc.sum(ledger[name]).as_py() or 0 for name in ledger.column_names}
    return {"interactions": sums["accepted"], "rejected": sums["rejected"] + sums["duplicate"]}
