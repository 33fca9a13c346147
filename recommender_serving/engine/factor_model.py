"""The model both halves share: two heads of factors, what they were trained on, and the position they reach."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from recommender_serving.engine.array_files import DamagedFileError, NewDirectory, read_arrays
from recommender_serving.engine.categories import CategoryIndex
from recommender_serving.engine.history import History
from recommender_serving.engine.manifest import HeadScalars, Manifest, Position
from recommender_serving.engine.model_rules import LAYOUT, ModelRuleError, check_arrays
from recommender_serving.engine.string_table import StringTable

__all__ = (
    "Catalogue",
    "DamagedModelError",
    "FactorModel",
    "HeadScalars",
    "Manifest",
    "Position",
    "RankingHead",
    "RatingHead",
    "read_model",
    "write_model",
)

_GRAM_ROWS = 4_096  # small steps: a service computes this beside its event loop
_MANIFEST = "manifest.json"
_MANIFEST_DIGEST = "manifest.sha256"


@dataclass(frozen=True, eq=False)
class RatingHead:
    """Predicts stars: global_mean + user_bias[u] + item_bias[i] + user_factors[u] . item_factors[i].

    With the implicit term of SVD++ (Koren 2008, "Factorization meets the neighborhood") a user's solution is drawn
    towards prior + |N|^-1/2 sum of implicit_factors[j] over the user's items N, rated or not; `user_factors` contains
    that sum.

    Attributes:
        global_mean: stars; 0 for nmf.
        item_bias: (n_items,) float32; zeros for nmf.
        item_factors: (n_items, k) float32.
        user_bias: (n_users,) float32; zeros unless `has_user_bias`.
        user_factors: (n_users, k) float32.
        prior: (k,) float32, towards which a user's solution is drawn.
        implicit_factors: (n_items, k) float32, or (0, k) for a head without the implicit term.
        regularization: penalty on |x - prior|^2, greater than 0.
        bias_regularization: penalty on the squared user bias, greater than 0 if `has_user_bias`.
        has_user_bias: whether a user has a bias.
        non_negative: whether all factors are >= 0.
    """

    global_mean: float
    item_bias: NDArray[np.float32]
    item_factors: NDArray[np.float32]
    user_bias: NDArray[np.float32]
    user_factors: NDArray[np.float32]
    prior: NDArray[np.float32]
    implicit_factors: NDArray[np.float32]
    regularization: float
    bias_regularization: float
    has_user_bias: bool
    non_negative: bool


@dataclass(frozen=True, eq=False)
class RankingHead:
    """Orders the catalogue by user_factors[u] . item_factors[i].

    A user minimises sum_observed strength_i (1 - x.y_i)^2 + unobserved_weight sum_all (x.y_i)^2
    + regularization |x - prior|^2 (iALS as in Rendle et al. 2021, "Revisiting the performance of iALS").

    Attributes:
        item_factors: (n_items, k) float32.
        user_factors: (n_users, k) float32.
        prior: (k,) float32.
        regularization: greater than 0.
        unobserved_weight: not negative.
        non_negative: whether all factors are >= 0.
    """

    item_factors: NDArray[np.float32]
    user_factors: NDArray[np.float32]
    prior: NDArray[np.float32]
    regularization: float
    unobserved_weight: float
    non_negative: bool

    @cached_property
    def gram(self) -> NDArray[np.float64]:
        """(k, k) float64 unobserved_weight * Y'Y of the stored float32 item factors Y."""
        k = self.item_factors.shape[1]
        total = np.zeros((k, k))
        for start in range(0, len(self.item_factors), _GRAM_ROWS):
            block = self.item_factors[start : start + _GRAM_ROWS].astype(np.float64)
            total += block.T @ block
        return self.unobserved_weight * total

    @cached_property
    def item_norms(self) -> NDArray[np.float32]:
        """(n_items,) float32 Euclidean lengths of the item factors."""
        norms: NDArray[np.float32] = np.sqrt(np.einsum("ij,ij->i", self.item_factors, self.item_factors))
        return norms


@dataclass(frozen=True, eq=False)
class Catalogue:
    """What is known about the items, aligned with the item index.

    Attributes:
        titles: title, "" if unknown.
        categories: categories joined by "|".
        year: (n_items,) int16, 0 if unknown.
    """

    titles: StringTable
    categories: StringTable
    year: NDArray[np.int16]

    @cached_property
    def category_index(self) -> CategoryIndex:
        """Which categories each item has."""
        return CategoryIndex.from_table(self.categories)


@dataclass(frozen=True, eq=False)
class FactorModel:
    """A trained model with its users, items and history; immutable.

    Attributes:
        user_ids, item_ids: sorted by UTF-8 bytes; a position in them is a user's or item's index everywhere.
        history: the training history, latest event of each kind, by user.
        popularity: (n_items,) float32 distinct users per item.
    """

    manifest: Manifest
    user_ids: StringTable
    item_ids: StringTable
    rating: RatingHead
    ranking: RankingHead
    history: History
    popularity: NDArray[np.float32]
    catalogue: Catalogue

    @property
    def n_users(self) -> int:
        """Number of users."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """Number of items."""
        return len(self.item_ids)

    @property
    def algorithm(self) -> str:
        """`svd` or `nmf`."""
        return self.manifest.algorithm

    @property
    def version(self) -> str:
        """Unique name of the model."""
        return self.manifest.version


class DamagedModelError(ValueError):
    """A model directory is damaged, truncated or foreign; the message says which file and why."""


def write_model(directory: Path, model: FactorModel) -> Manifest:
    """Write a model directory: it appears under its name only when every file is on the disk.

    Returns:
        The manifest with `scalars` and `files` filled.

    Raises:
        ValueError: the model breaks a rule (types, shapes, order, finite numbers).
        FileExistsError: the directory exists already.
    """
    scalars = _scalars_of(model)
    arrays = _arrays_of(model)
    check_arrays(arrays, _non_negative_heads(scalars))
    with NewDirectory(directory) as new:
        files = {name: new.write_array(name, array) for name, array in arrays.items()}
        manifest = msgspec.structs.replace(model.manifest, scalars=scalars, files=files)
        content = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
        new.write_bytes(_MANIFEST, content)
        new.write_bytes(_MANIFEST_DIGEST, sha256(content).hexdigest().encode() + b"\n")
    return manifest


def read_model(directory: Path) -> FactorModel:
    """Read a model directory after verifying every file; its arrays are memory-mapped and read-only.

    Raises:
        DamagedModelError: a file is missing, altered, foreign or breaks a rule of the format.
    """
    try:
        manifest = _read_manifest(directory)
        arrays = read_arrays(directory, manifest.files, {name: dtype for name, (dtype, _) in LAYOUT.items()})
        if manifest.scalars is not None:
            check_arrays(arrays, _non_negative_heads(manifest.scalars))
    except (DamagedFileError, ModelRuleError) as error:
        raise DamagedModelError(f"{directory}: {error}") from error
    if manifest.scalars is None:
        raise DamagedModelError(f"{directory}: {_MANIFEST}: scalars are missing")
    return _model_of(manifest, manifest.scalars, arrays)


def with_shared_arrays(model: FactorModel, other: FactorModel) -> FactorModel:
    """The model with each array that equals one of another model's replaced by it, so that memory holds it once.

    Both models come from `read_model`: equal SHA-256 in their manifests mean equal arrays.
    """
    if model.manifest.scalars is None:
        return model
    held = {other.manifest.files.get(name): array for name, array in _arrays_of(other).items()}
    arrays = {name: held.get(model.manifest.files[name], array) for name, array in _arrays_of(model).items()}
    return _model_of(model.manifest, model.manifest.scalars, arrays)


def _read_manifest(directory: Path) -> Manifest:
    try:
        content = (directory / _MANIFEST).read_bytes()
        digest = (directory / _MANIFEST_DIGEST).read_bytes()
        if digest != sha256(content).hexdigest().encode() + b"\n":
            raise DamagedFileError(f"{_MANIFEST}: differs from its SHA-256 in {_MANIFEST_DIGEST}")
        return msgspec.json.decode(content, type=Manifest)
    except OSError as error:
        raise DamagedFileError(f"{error.filename}: {error.strerror}, so this is no model directory") from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedFileError(f"{_MANIFEST}: {error}") from error


def _scalars_of(model: FactorModel) -> HeadScalars:
    return HeadScalars(
        global_mean=float(model.rating.global_mean),
        regularization=float(model.rating.regularization),
        bias_regularization=float(model.rating.bias_regularization),
        has_user_bias=bool(model.rating.has_user_bias),
        non_negative=bool(model.rating.non_negative),
        ranking_regularization=float(model.ranking.regularization),
        unobserved_weight=float(model.ranking.unobserved_weight),
        ranking_non_negative=bool(model.ranking.non_negative),
    )


def _non_negative_heads(scalars: HeadScalars) -> frozenset[str]:
    heads = {"rating": scalars.non_negative, "ranking": scalars.ranking_non_negative}
    return frozenset(head for head, non_negative in heads.items() if non_negative)


def _arrays_of(model: FactorModel) -> dict[str, NDArray[Any]]:
    tables = {
        "user_ids": model.user_ids,
        "item_ids": model.item_ids,
        "titles": model.catalogue.titles,
        "categories": model.catalogue.categories,
    }
    arrays: dict[str, NDArray[Any]] = {"popularity": model.popularity, "year": model.catalogue.year}
    for name, table in tables.items():
        arrays |= {f"{name}_data": table.data, f"{name}_offsets": table.offsets}
    for prefix, part in (("rating", model.rating), ("ranking", model.ranking), ("history", model.history)):
        arrays |= {name: getattr(part, name[len(prefix) + 1 :]) for name in LAYOUT if name.startswith(f"{prefix}_")}
    return arrays


def _model_of(manifest: Manifest, scalars: HeadScalars, arrays: Mapping[str, NDArray[Any]]) -> FactorModel:
    def part(prefix: str) -> dict[str, Any]:
        return {name[len(prefix) + 1 :]: array for name, array in arrays.items() if name.startswith(f"{prefix}_")}

    def table(name: str) -> StringTable:
        return StringTable(arrays[f"{name}_data"], arrays[f"{name}_offsets"])

    return FactorModel(
        manifest=manifest,
        user_ids=table("user_ids"),
        item_ids=table("item_ids"),
        rating=RatingHead(
            **part("rating"),
            global_mean=scalars.global_mean,
            regularization=scalars.regularization,
            bias_regularization=scalars.bias_regularization,
            has_user_bias=scalars.has_user_bias,
            non_negative=scalars.non_negative,
        ),
        ranking=RankingHead(
            **part("ranking"),
            regularization=scalars.ranking_regularization,
            unobserved_weight=scalars.unobserved_weight,
            non_negative=scalars.ranking_non_negative,
        ),
        history=History(**part("history")),
        popularity=arrays["popularity"],
        catalogue=Catalogue(table("titles"), table("categories"), arrays["year"]),
    )
