"""Small valid histories and models for tests: real shapes and rules, random numbers from a seed."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from recommender_serving.engine.config import EventWeights, RatingScale
from recommender_serving.engine.events import EVENT_TYPES, TYPE_CODES, Event, derived_event_id, event_key
from recommender_serving.engine.factor_model import (
    Catalogue,
    FactorModel,
    Manifest,
    Position,
    RankingHead,
    RatingHead,
)
from recommender_serving.engine.fold_in import fold_in_ranking, fold_in_rating
from recommender_serving.engine.history import History, latest_events, observe
from recommender_serving.engine.string_table import StringTable

START_US = 1_704_067_200_000_000  # 2024-01-01T00:00:00Z


def make_event(  # noqa: PLR0917 (all optional)
    user_id: str = "u1",
    item_id: str | None = "i01",
    event_type: str = "rating",
    rating: float | None = 4.0,
    timestamp_us: int = START_US,
    event_id: str | None = None,
    ranking_id: str | None = None,
) -> Event:
    """A valid event: item and rating are dropped where the event type has none."""
    item_id = None if event_type == "forget" else item_id
    rating = rating if event_type == "rating" else None
    event_id = event_id or derived_event_id(user_id, item_id, event_type, timestamp_us)
    return Event(user_id, item_id, event_type, rating, timestamp_us, event_id, ranking_id)


def history_of(events: Iterable[Event], user_ids: Sequence[str], item_ids: Sequence[str]) -> History:
    """The history of events (no `forget` among them) over sorted vocabularies."""
    rows = list(events)
    users = {user_id: index for index, user_id in enumerate(user_ids)}
    items = {item_id: index for index, item_id in enumerate(item_ids)}
    return latest_events(
        len(user_ids),
        np.array([users[event.user_id] for event in rows], dtype=np.int32),
        np.array([items[event.item_id or ""] for event in rows], dtype=np.int32),
        np.array([TYPE_CODES[event.event_type] for event in rows], dtype=np.int8),
        np.array([np.nan if event.rating is None else event.rating for event in rows], dtype=np.float32),
        np.array([event.timestamp_us for event in rows], dtype=np.int64),
        np.array([event.event_key for event in rows], dtype=np.int64),
    )


def make_history(n_users: int = 6, n_items: int = 12, events_per_user: int = 5, seed: int = 0) -> History:
    """A random history: mostly ratings on the half-star scale, every other type but `forget` among them."""
    random = np.random.default_rng(seed)
    n = n_users * events_per_user
    types = [name for name in EVENT_TYPES if name != "forget"]
    return latest_events(
        n_users,
        np.repeat(np.arange(n_users, dtype=np.int32), events_per_user),
        random.integers(0, n_items, n).astype(np.int32),
        random.choice([TYPE_CODES[name] for name in types], n, p=[0.6, 0.15, 0.1, 0.1, 0.05]).astype(np.int8),
        (random.integers(1, 11, n) / 2).astype(np.float32),
        START_US + random.integers(0, 10**12, n),
        np.array([event_key(f"event-{row}") for row in range(n)], dtype=np.int64),
    )


def make_model(  # noqa: PLR0917 (all optional)
    algorithm: str = "svd",
    n_users: int = 6,
    n_items: int = 12,
    factors: int = 4,
    events_per_user: int = 5,
    seed: int = 0,
    version: str | None = None,
    position: Position | None = None,
    history: History | None = None,
    user_ids: Sequence[str] | None = None,
    item_ids: Sequence[str] | None = None,
) -> FactorModel:
    """A small valid model whose stored users are the engine's own solutions of its history.

    Users are `u0`, `u1`, ... and items `i0`, `i1`, ... (zero-padded to one width, hence sorted) unless ids are given.
    """
    random = np.random.default_rng(seed)
    user_ids = user_ids or _names("u", n_users)
    item_ids = item_ids or _names("i", n_items)
    n_users, n_items = len(user_ids), len(item_ids)
    history = history or make_history(n_users, n_items, events_per_user, seed)
    non_negative = algorithm == "nmf"
    rating = _rating_head(random, n_users, n_items, factors, non_negative=non_negative)
    ranking = _ranking_head(random, n_users, n_items, factors, non_negative=non_negative)
    observations = observe(history, EventWeights(), RatingScale())
    for user in range(n_users):
        rows = observations.rows_of(user)
        items, stars = observations.item[rows], observations.rating[rows]
        rating.user_factors[user], rating.user_bias[user] = fold_in_rating(rating, items, stars)
        ranking.user_factors[user] = fold_in_ranking(ranking, items, observations.strength[rows])
    return FactorModel(
        manifest=Manifest(
            algorithm=algorithm,
            version=version or f"{algorithm}-20240101T000000Z-{seed:08x}",
            created_at="2024-01-01T00:00:00Z",
            hyper_parameters={"factors": factors},
            metrics={"rmse": 0.9},
            position=position or Position(topic="user_interactions", next_offsets={"0": 0}),
            seed=seed,
        ),
        user_ids=StringTable.from_strings(user_ids),
        item_ids=StringTable.from_strings(item_ids),
        rating=rating,
        ranking=ranking,
        history=history,
        popularity=np.bincount(observations.item, minlength=n_items).astype(np.float32),
        catalogue=Catalogue(
            titles=StringTable.from_strings(f"Film {item_id}" for item_id in item_ids),
            categories=StringTable.from_strings("Drama|Comedy" if i % 2 else "Action" for i in range(n_items)),
            year=(1990 + np.arange(n_items) % 30).astype(np.int16),
        ),
    )


def _names(prefix: str, n: int) -> list[str]:
    width = len(str(n - 1))
    return [f"{prefix}{index:0{width}d}" for index in range(n)]


def _factors(random: np.random.Generator, shape: tuple[int, int], *, non_negative: bool) -> NDArray[np.float32]:
    drawn = random.normal(scale=0.5, size=shape).astype(np.float32)
    return np.abs(drawn) if non_negative else drawn


def _rating_head(
    random: np.random.Generator, n_users: int, n_items: int, factors: int, *, non_negative: bool
) -> RatingHead:
    item_bias = np.zeros(n_items) if non_negative else random.normal(scale=0.3, size=n_items)
    implicit_factors = _factors(random, (0 if non_negative else n_items, factors), non_negative=non_negative)
    return RatingHead(
        global_mean=0.0 if non_negative else 3.5,
        item_bias=item_bias.astype(np.float32),
        item_factors=_factors(random, (n_items, factors), non_negative=non_negative),
        user_bias=np.zeros(n_users, np.float32),
        user_factors=np.zeros((n_users, factors), np.float32),
        prior=np.full(factors, 0.5 if non_negative else 0.0, np.float32),
        implicit_factors=implicit_factors,
        regularization=2.0,
        bias_regularization=3.0,
        has_user_bias=not non_negative,
        non_negative=non_negative,
    )


def _ranking_head(
    random: np.random.Generator, n_users: int, n_items: int, factors: int, *, non_negative: bool
) -> RankingHead:
    return RankingHead(
        item_factors=_factors(random, (n_items, factors), non_negative=non_negative),
        user_factors=np.zeros((n_users, factors), np.float32),
        prior=np.zeros(factors, np.float32),
        regularization=0.5,
        unobserved_weight=0.1,
        non_negative=non_negative,
    )
