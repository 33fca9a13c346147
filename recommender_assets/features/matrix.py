"""The user-item matrix: what every user did with every item, up to a position, with both vocabularies."""

import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recommender_assets.features.event_rows import current_position, read_event_rows, read_items
from recommender_assets.features.vocabulary import arrow_strings, encode_ids
from recommender_assets.settings import Settings
from recommender_serving.engine.array_files import DamagedFileError, NewDirectory, read_arrays
from recommender_serving.engine.atomic_files import replace_file
from recommender_serving.engine.config import EventWeights, RatingScale
from recommender_serving.engine.events import EVENT_TYPES
from recommender_serving.engine.factor_model import Catalogue
from recommender_serving.engine.history import History, Observations, latest_events, observe
from recommender_serving.engine.manifest import Position
from recommender_serving.engine.string_table import StringTable

_MANIFEST = "matrix.json"
_HISTORY = {
    "indptr": np.int64,
    "item": np.int32,
    "event_type": np.int8,
    "rating": np.float32,
    "timestamp_us": np.int64,
    "event_key": np.int64,
}
_STRINGS = ("user_ids", "item_ids", "titles", "categories")
_DTYPES: dict[str, type] = {
    **_HISTORY,
    **{f"{name}_data": np.uint8 for name in _STRINGS},
    **{f"{name}_offsets": np.int64 for name in _STRINGS},
    "year": np.int16,
}


class EmptyMatrixError(ValueError):
    """There is no event to learn from."""


@dataclass(frozen=True, eq=False)
class UserItemMatrix:
    """Everything a model learns from.

    Attributes:
        user_ids, item_ids: ids sorted by UTF-8 bytes; a position in them is the index everywhere else.
        history: the latest event of each (user, item, event type).
        observations: the pairs that stand, with rating and strength.
        position: up to where the events are inside.
        catalogue: titles, categories and years, aligned with the item index.
        weights, scale: what `observations` were made with.
        popularity: (n_items,) float32 distinct users per item.
    """

    user_ids: StringTable
    item_ids: StringTable
    history: History
    observations: Observations
    position: Position
    catalogue: Catalogue
    weights: EventWeights
    scale: RatingScale
    popularity: NDArray[np.float32]

    @property
    def n_users(self) -> int:
        """Number of users."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """Number of items."""
        return len(self.item_ids)


class _Manifest(msgspec.Struct, frozen=True, kw_only=True):
    folder: str
    position: Position
    weights: EventWeights
    scale: RatingScale
    digests: dict[str, str]


def build_matrix(settings: Settings) -> UserItemMatrix:
    """Build the matrix from the Delta tables as they are now.

    Raises:
        EmptyMatrixError: no event has been ingested or imported yet.
        FileNotFoundError: the tables were never created.
    """
    position = current_position(settings.root, settings.streaming.topic)
    events = read_event_rows(settings.root, position)
    items = read_items(settings.root, position)
    return matrix_of_events(events, items, position, settings.weights, settings.ratings)


def matrix_of_events(
    events: pa.Table, items: pa.Table, position: Position, weights: EventWeights, scale: RatingScale
) -> UserItemMatrix:
    """Build the matrix from events in any order; repeated events count once.

    Args:
        events: `user_id`, `item_id`, `event_type`, `rating`, `timestamp` (us, UTC), `event_key`; no `forget` rows.
        items: `item_id`, `title`, `categories` (list), `year`; an item of either source is an item of the matrix.
        position: up to where the events reach.
        weights: strength of each kind of event.
        scale: lowest and highest rating.

    Raises:
        EmptyMatrixError: there is no event.
    """
    if not events.num_rows:
        raise EmptyMatrixError("no interactions to learn from: import a history or ingest events first")
    user_ids, user = encode_ids(events["user_id"])
    item_ids, item = encode_ids(_joined(events["item_id"], items["item_id"]))
    history = latest_events(
        n_users=len(user_ids),
        user=user,
        item=item[: events.num_rows],
        event_type=pc.index_in(events["event_type"], value_set=pa.array(EVENT_TYPES)).to_numpy(),
        rating=pc.fill_null(events["rating"], np.nan).to_numpy(),
        timestamp_us=events["timestamp"].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_numpy(),
        event_key=events["event_key"].to_numpy(),
    )
    return _assembled(
        user_ids=user_ids,
        item_ids=item_ids,
        history=history,
        position=position,
        catalogue=_catalogue(item_ids, items),
        weights=weights,
        scale=scale,
    )


def matrix_directory(root: Path) -> Path:
    """Where the user-item matrix is kept between the assets."""
    return root / "matrix"


def save_matrix(directory: Path, matrix: UserItemMatrix) -> None:
    """Write the matrix; a reader finds either the former matrix or this one, whole. A damaged one is replaced."""
    try:
        former = _read_manifest(directory).folder
    except (FileNotFoundError, DamagedFileError):
        former = None
    folder = f"arrays-{uuid.uuid4().hex[:12]}"
    with NewDirectory(directory / folder) as files:
        digests = {name: files.write_array(name, array) for name, array in _arrays(matrix).items()}
    manifest = _Manifest(
        folder=folder, position=matrix.position, weights=matrix.weights, scale=matrix.scale, digests=digests
    )
    replace_file(directory / _MANIFEST, msgspec.json.encode(manifest))
    if former is not None:
        shutil.rmtree(directory / former, ignore_errors=True)


def load_matrix(directory: Path) -> UserItemMatrix:
    """Read what `save_matrix` wrote; arrays are memory-mapped.

    Raises:
        FileNotFoundError: no matrix was saved there.
        DamagedFileError: a file is missing or altered.
    """
    manifest = _read_manifest(directory)
    arrays = read_arrays(directory / manifest.folder, manifest.digests, _DTYPES)
    user_ids, item_ids, titles, categories = (
        StringTable(arrays[f"{name}_data"], arrays[f"{name}_offsets"]) for name in _STRINGS
    )
    return _assembled(
        user_ids=user_ids,
        item_ids=item_ids,
        history=History(**{name: arrays[name] for name in _HISTORY}),
        position=manifest.position,
        catalogue=Catalogue(titles=titles, categories=categories, year=arrays["year"]),
        weights=manifest.weights,
        scale=manifest.scale,
    )


def _assembled(
    *,
    user_ids: StringTable,
    item_ids: StringTable,
    history: History,
    position: Position,
    catalogue: Catalogue,
    weights: EventWeights,
    scale: RatingScale,
) -> UserItemMatrix:
    observations = observe(history, weights, scale)
    popularity = np.bincount(observations.item, minlength=len(item_ids)).astype(np.float32)
    return UserItemMatrix(
        user_ids=user_ids,
        item_ids=item_ids,
        history=history,
        observations=observations,
        position=position,
        catalogue=catalogue,
        weights=weights,
        scale=scale,
        popularity=popularity,
    )


def _joined(first: pa.ChunkedArray, second: pa.ChunkedArray) -> pa.ChunkedArray:
    return pa.chunked_array([*first.chunks, *second.cast(first.type).chunks], first.type)


def _catalogue(item_ids: StringTable, items: pa.Table) -> Catalogue:
    place = pc.index_in(arrow_strings(item_ids), value_set=items["item_id"].cast(pa.large_string()))
    known = items.take(place)
    return Catalogue(
        titles=StringTable.from_strings(pc.fill_null(known["title"], "").to_pylist()),
        categories=StringTable.from_strings("|".join(names or []) for names in known["categories"].to_pylist()),
        year=pc.fill_null(known["year"], 0).to_numpy().astype(np.int16),
    )


def _arrays(matrix: UserItemMatrix) -> dict[str, NDArray[np.generic]]:
    tables = (matrix.user_ids, matrix.item_ids, matrix.catalogue.titles, matrix.catalogue.categories)
    return {
        **{name: getattr(matrix.history, name) for name in _HISTORY},
        **{f"{name}_data": table.data for name, table in zip(_STRINGS, tables, strict=True)},
        **{f"{name}_offsets": table.offsets for name, table in zip(_STRINGS, tables, strict=True)},
        "year": matrix.catalogue.year,
    }


def _read_manifest(directory: Path) -> _Manifest:
    path = directory / _MANIFEST
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DamagedFileError(f"{path}: {error}") from error
