from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from recommender_assets.evaluation.evaluation import evaluate
from recommender_assets.features.content_features import content_features
from recommender_assets.features.feature_columns import FeatureTable
from recommender_assets.features.matrix import UserItemMatrix, matrix_of_events
from recommender_assets.ingestion.schemas import SCHEMAS
from recommender_assets.ingestion.sources import films, ratings
from recommender_assets.settings import NmfSettings, SvdSettings
from recommender_assets.training.cold_start import expected_interest, with_cold_items
from recommender_assets.training.heads import fit_heads
from recommender_assets.training.hold_out import hold_out_mask
from recommender_assets.training.trainer import train
from recommender_serving.engine.config import EventWeights, RatingScale
from recommender_serving.engine.fold_in import fold_in_ranking
from recommender_serving.engine.history import Observations
from recommender_serving.engine.manifest import Position
from tests.matrices import default_settings, events_table

SETTINGS = default_settings(
    svd=SvdSettings(factors=6, epochs=4, ranking_iterations=6),
    nmf=NmfSettings(factors=6, iterations=4, ranking_iterations=6),
)
BOTH = pytest.mark.parametrize("algorithm", ["svd", "nmf"])


def genre(item: int) -> str:
    return ("war", "love", "space")[item % 3]


def catalogue_matrix(n_items: int = 90, cold: int = 9) -> UserItemMatrix:
    """Users who like one genre each; the last items of the catalogue have no event."""
    random = np.random.default_rng(0)
    rows = [
        (f"u{user:02}", f"i{item:03}", "rating", 5.0)
        for user in range(60)
        for item in range(n_items - cold)
        if user % 3 == item % 3 and random.random() < 0.5
    ]
    items = pa.table(
        {
            "item_id": [f"i{item:03}" for item in range(n_items)],
            "title": [f"Film {item}" for item in range(n_items)],
            "categories": [[genre(item)] for item in range(n_items)],
            "year": [1990 + item % 20 for item in range(n_items)],
        }
    ).cast(SCHEMAS["items"])
    return matrix_of_events(events_table(rows), items, Position(), EventWeights(), RatingScale())


@BOTH
def test_items_without_any_event_are_listed_for_those_who_like_their_kind(algorithm):
    matrix = catalogue_matrix()
    is_cold = matrix.popularity == 0
    assert is_cold.sum() == 9

    model = train(algorithm, matrix, SETTINGS).model

    scores = model.ranking.user_factors @ model.ranking.item_factors[is_cold].T
    kind = np.array([int(item_id[1:]) % 3 for item_id in np.array(model.item_ids[:])[is_cold]])
    taste = np.array([int(user_id[1:]) % 3 for user_id in model.user_ids[:]])
    assert (scores.argmax(axis=1) >= 0).all()
    assert (kind[scores.argmax(axis=1)] == taste).all()
    if algorithm == "nmf":
        assert model.ranking.item_factors.min() >= 0


@BOTH
def test_the_service_finds_the_same_users_with_cold_items_in_the_model(algorithm):
    matrix = catalogue_matrix()
    model = train(algorithm, matrix, SETTINGS).model

    rows = slice(*matrix.observations.indptr[3:5])
    found = fold_in_ranking(model.ranking, matrix.observations.item[rows], matrix.observations.strength[rows])

    np.testing.assert_allclose(found, model.ranking.user_factors[3], atol=1e-5)


def test_only_items_without_a_row_change():
    matrix = catalogue_matrix()
    heads = fit_heads(matrix.observations, matrix.n_items, SETTINGS.models.svd, seed=0)

    completed = with_cold_items(heads, matrix.observations, lambda: content_features(matrix.catalogue))

    changed = (completed.ranking.item_factors != heads.ranking.item_factors).any(axis=1)
    np.testing.assert_array_equal(changed, matrix.popularity == 0)
    assert completed.rating is heads.rating


def test_the_map_is_a_ridge_regression_scaled_by_the_interest_in_unmet_items():
    matrix = catalogue_matrix()
    heads = fit_heads(matrix.observations, matrix.n_items, SETTINGS.models.svd, seed=0)
    is_cold = matrix.popularity == 0
    content = FeatureTable(("c",), np.arange(matrix.n_items, dtype=np.float64)[:, None] / matrix.n_items)
    design = np.column_stack([np.ones(matrix.n_items), content.values])
    augmented = np.vstack([design[~is_cold], np.sqrt(10.0) * np.eye(2)])
    target = np.vstack([heads.ranking.item_factors[~is_cold], np.zeros((2, 6))])
    expected = design[is_cold] @ np.linalg.lstsq(augmented, target, rcond=None)[0]

    completed = with_cold_items(heads, matrix.observations, lambda: content)

    expected *= expected_interest(matrix.observations, matrix.n_items)
    np.testing.assert_allclose(completed.ranking.item_factors[is_cold], expected, atol=1e-6)


@pytest.mark.parametrize("reason", ["nothing cold", "no content", "too few to learn from"])
def test_without_anything_to_do_or_to_learn_from_nothing_changes(reason):
    matrix = catalogue_matrix(n_items=40 if reason == "too few to learn from" else 90)
    heads = fit_heads(matrix.observations, matrix.n_items, SETTINGS.models.svd, seed=0)
    content, observations = content_features(matrix.catalogue), matrix.observations
    if reason == "no content":
        content = FeatureTable((), np.empty((matrix.n_items, 0)))
    if reason == "nothing cold":
        warm = matrix.popularity > 0
        ranking = replace(heads.ranking, item_factors=heads.ranking.item_factors[warm])
        heads = replace(heads, ranking=ranking)
        content = FeatureTable(content.names, content.values[warm])

    assert with_cold_items(heads, observations, lambda: content) is heads


def met(*times: int) -> Observations:
    """Items that were met this many times, each by another user."""
    item = np.repeat(np.arange(len(times), dtype=np.int32), times)
    n = len(item)
    ones = np.ones(n, dtype=np.float32)
    return Observations(np.arange(n + 1, dtype=np.int64), item, ones, ones)


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ((1, 1, 4, 0, 0, 0, 0), 2 / 4 / 2),  # two met once, four unmet, met ones twice on average
        ((5, 5, 0, 0), 1 / 2 / 5),  # none met once counts as one
        ((1, 1, 1, 0), 1.0),  # never more than the mean item
    ],
)
def test_unmet_items_can_expect_together_what_those_met_once_have_got(times, expected):
    assert expected_interest(met(*times), len(times)) == pytest.approx(expected)


def most_frequent(column: pa.ChunkedArray, count: int) -> pa.Array:
    return column.value_counts().sort(order="descending", by="counts").field("values").slice(0, count)


@BOTH
def test_a_catalogue_of_unmet_items_does_not_bury_those_that_everybody_meets(algorithm):
    """Real ratings of the 200 films that are rated most, and a catalogue with 8,866 more."""
    rows = ratings()
    rows = rows.filter(pc.is_in(rows["user_id"], most_frequent(rows["user_id"], 150)))
    rows = rows.filter(pc.is_in(rows["item_id"], most_frequent(rows["item_id"], 200)))
    events = rows.append_column("event_type", pa.array(["rating"] * len(rows)))
    events = events.append_column("event_key", pa.array(range(len(rows)), pa.int64()))
    matrix = matrix_of_events(events, films(), Position(), EventWeights(), RatingScale())

    model = train(algorithm, matrix, SETTINGS).model

    held_out = hold_out_mask(matrix, SETTINGS.training.hold_out_share)
    found = evaluate({"model": model}, matrix, held_out, ("catalogue",))["model"]
    assert found.metrics["catalogue_ndcg_at_10"] > found.floors.values["catalogue_ndcg_at_10"]["popularity"]
