"""Reduced features of users and items: scaled, selected, and projected on their principal components."""

import math
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recommender_assets.features.feature_columns import FeatureTable, Float64s
from recommender_assets.features.feature_rows import FeatureRows, feature_rows
from recommender_assets.features.item_features import item_features
from recommender_assets.features.matrix import UserItemMatrix
from recommender_assets.features.selection import mutual_information, scaled, uncorrelated_columns
from recommender_assets.features.user_features import user_features
from recommender_assets.features.vocabulary import arrow_strings
from recommender_assets.settings import FeaturesSettings, Settings
from recommender_serving.engine.atomic_files import replace_file
from recommender_serving.engine.string_table import StringTable

_FIGURES = "figures.json"
_CHECKED_SHARE = 0.2  # of the rows, on which the reconstruction is measured


@dataclass(frozen=True, eq=False)
class ReducedTable:
    """One feature table after selection and reduction.

    Attributes:
        values: (n_rows, n_kept) float32 coordinates on the kept components.
        n_columns: columns before selection.
        mutual_information: selected column -> nats, best first.
        explained_shares: share of the selected columns' variance on each component, all of them, greatest first.
        held_out_r2: variance-weighted R2 of the reconstruction of rows that the components were not made from.
    """

    values: NDArray[np.float32]
    n_columns: int
    mutual_information: dict[str, float]
    explained_shares: tuple[float, ...]
    held_out_r2: float

    @property
    def n_selected(self) -> int:
        """Columns that were selected."""
        return len(self.mutual_information)

    @property
    def n_kept(self) -> int:
        """Components that are kept."""
        return int(self.values.shape[1])


@dataclass(frozen=True, eq=False)
class ReducedFeatures:
    """Both reduced tables, rows aligned with the matrix's user and item index."""

    user: ReducedTable
    item: ReducedTable


def reduce_features(matrix: UserItemMatrix, held_out: NDArray[np.bool_], settings: Settings) -> ReducedFeatures:
    """Make, select and reduce the features of users and items; nothing looks at held-out ratings.

    Args:
        matrix: users, items and catalogue.
        held_out: (n,) true for the observations of the hold-out.
        settings: `features`, `training.seed` are used.
    """
    rows = feature_rows(matrix, held_out)
    seed = settings.training.seed
    return ReducedFeatures(
        user=_reduced(user_features(rows), rows.user, rows, settings.features, seed),
        item=_reduced(item_features(rows), rows.item, rows, settings.features, seed),
    )


class TableFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What is worth knowing of a reduced table; an R2 of None could not be measured, there were too few rows."""

    n_columns: int
    n_selected: int
    n_kept: int
    held_out_r2: float | None


def features_directory(root: Path) -> Path:
    """Where the reduced features are kept."""
    return root / "features"


def save_features(directory: Path, matrix: UserItemMatrix, features: ReducedFeatures) -> None:
    """Write `user_features.parquet` and `item_features.parquet`: the id, then one column per component; and figures."""
    tables = {"user": features.user, "item": features.item}
    for name, ids in (("user", matrix.user_ids), ("item", matrix.item_ids)):
        replace_file(directory / f"{name}_features.parquet", _parquet(f"{name}_id", ids, tables[name]))
    figures = {name: _figures(table) for name, table in tables.items()}
    replace_file(directory / _FIGURES, msgspec.json.encode(figures))


def load_features(directory: Path, name: str) -> NDArray[np.float32]:
    """(n_rows, n_kept) components of the `user` or `item` features, in the order of the matrix's index."""
    table = pq.read_table(directory / f"{name}_features.parquet").drop_columns([f"{name}_id"])
    columns = [column.to_numpy() for column in table.columns]
    return np.stack(columns, axis=1) if columns else np.empty((table.num_rows, 0), dtype=np.float32)


def load_figures(directory: Path) -> dict[str, TableFigures]:
    """The figures of both tables, `user` and `item`."""
    return msgspec.json.decode((directory / _FIGURES).read_bytes(), type=dict[str, TableFigures])


def _figures(table: ReducedTable) -> TableFigures:
    r2 = table.held_out_r2 if math.isfinite(table.held_out_r2) else None
    return TableFigures(n_columns=table.n_columns, n_selected=table.n_selected, n_kept=table.n_kept, held_out_r2=r2)


def _parquet(id_column: str, ids: StringTable, table: ReducedTable) -> bytes:
    columns = {id_column: arrow_strings(ids)}
    columns |= {f"component_{i + 1}": pa.array(table.values[:, i]) for i in range(table.n_kept)}
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return bytes(sink.getvalue())


def _reduced(
    table: FeatureTable, row: NDArray[np.int32], rows: FeatureRows, settings: FeaturesSettings, seed: int
) -> ReducedTable:
    full = scaled(table)
    distinct = full.select(uncorrelated_columns(full, settings.correlation_limit))
    information = mutual_information(distinct, row[rows.rated], rows.rating[rows.rated])
    best = np.argsort(-information, kind="stable")[: settings.selected_columns]
    best = best[information[best] > 0]
    selected = distinct.select(best)
    kept = int(settings.kept_share * len(best))
    components, shares = principal_components(selected.values)
    return ReducedTable(
        values=((selected.values - selected.values.mean(axis=0)) @ components[:kept].T).astype(np.float32),
        n_columns=len(table.names),
        mutual_information=dict(zip(selected.names, information[best].tolist(), strict=True)),
        explained_shares=tuple(shares.tolist()),
        held_out_r2=reconstruction_r2(selected.values, kept, seed),
    )


def principal_components(values: Float64s) -> tuple[Float64s, Float64s]:
    """Principal components (rows, orthonormal) of the columns and the share of variance on each.

    The sign is fixed: the entry of greatest size in a component is positive.
    """
    centred = values - values.mean(axis=0)
    squares, vectors = np.linalg.eigh(centred.T @ centred)  # ascending
    squares, components = np.maximum(squares[::-1], 0.0), vectors.T[::-1]
    leading = np.where(components.max(axis=1, initial=0.0) >= -components.min(axis=1, initial=0.0), 1.0, -1.0)
    shares = squares / squares.sum() if squares.sum() > 0 else squares
    return components * leading[:, None], shares


def reconstruction_r2(values: Float64s, kept: int, seed: int) -> float:
    """R2, over all columns together, of rows rebuilt from `kept` components that were made from the other rows.

    1 - sum of squared errors / sum of squared deviations from the column means of those other rows; NaN if there are
    too few rows.
    """
    order = np.random.default_rng(seed).permutation(len(values))
    checked, others = np.split(values[order], [int(_CHECKED_SHARE * len(values))])
    if not checked.size:
        return float("nan")
    components, _ = principal_components(others)
    deviation = checked - others.mean(axis=0)
    error = deviation - deviation @ components[:kept].T @ components[:kept]
    total = np.square(deviation).sum()
    return float(1.0 - np.square(error).sum() / total) if total > 0 else float("nan")
