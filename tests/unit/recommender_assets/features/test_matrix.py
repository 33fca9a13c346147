import json

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from recommender_assets.features.matrix import EmptyMatrixError, build_matrix, load_matrix, save_matrix
from recommender_assets.ingestion.tables import SCHEMAS, create_tables, table_path
from recommender_serving.engine.array_files import DamagedFileError
from recommender_serving.engine.history import observe
from tests.matrices import default_settings, events_table, matrix_from, movielens_matrix, random_matrix

ARRAYS = ("indptr", "item", "event_type", "rating", "timestamp_us", "event_key")


def same(left, right) -> bool:
    strings = [
        (left.user_ids, right.user_ids),
        (left.item_ids, right.item_ids),
        (left.catalogue.titles, right.catalogue.titles),
        (left.catalogue.categories, right.catalogue.categories),
    ]
    return (
        all(a[:] == b[:] for a, b in strings)
        and all(
            np.array_equal(getattr(left.history, n), getattr(right.history, n), equal_nan=n == "rating") for n in ARRAYS
        )
        and np.array_equal(left.observations.strength, right.observations.strength)
        and np.array_equal(left.popularity, right.popularity)
        and np.array_equal(left.catalogue.year, right.catalogue.year)
        and (left.position, left.weights, left.scale) == (right.position, right.weights, right.scale)
    )


def test_what_a_pair_means_now():
    matrix = matrix_from(
        events_table(
            [
                ("b", "x", "rating", 2.0),
                ("b", "x", "rating", 5.0),
                ("a", "x", "view", None),
                ("a", "y", "rating", 3.0),
                ("a", "y", "remove", None),
            ]
        )
    )

    assert (matrix.user_ids[:], matrix.item_ids[:]) == (["a", "b"], ["x", "y"])
    assert matrix.observations.indptr.tolist() == [0, 1, 2]
    assert matrix.observations.item.tolist() == [0, 0]
    np.testing.assert_array_equal(matrix.observations.rating, [np.nan, 5.0])
    np.testing.assert_allclose(matrix.observations.strength, [0.1, 1.0])
    assert matrix.popularity.tolist() == [2.0, 0.0]


def test_row_order_and_repetition_change_nothing():
    rows = [(f"ü{u}", f"i{i}", "rating", 0.5 + (u + i) % 10 / 2) for u in range(9) for i in range(7)]
    events = events_table(rows)
    order = np.random.default_rng(0).permutation(np.repeat(np.arange(len(rows)), 2))

    assert same(matrix_from(events), matrix_from(events.take(order)))


def test_the_catalogue_follows_the_item_index_and_unknown_items_are_blank():
    items = pa.Table.from_pylist(
        [
            {"item_id": "z", "title": "Zed", "categories": ["Drama", "War"], "year": 1999},
            {"item_id": "never seen", "title": "No", "categories": [], "year": 2000},
            {"item_id": "a", "title": None, "categories": None, "year": None},
        ],
        schema=SCHEMAS["items"],
    )

    matrix = matrix_from(events_table([("u", item, "rating", 3.0) for item in "zab"]), items)

    assert matrix.item_ids[:] == ["a", "b", "z"]
    assert matrix.catalogue.titles[:] == ["", "", "Zed"]
    assert matrix.catalogue.categories[:] == ["", "", "Drama|War"]
    assert matrix.catalogue.year.tolist() == [0, 0, 1999]


def test_the_real_ratings_are_all_there():
    matrix = movielens_matrix()

    assert (matrix.n_users, matrix.n_items, len(matrix.observations.item)) == (671, 9066, 100_004)
    assert matrix.popularity.max() == 341
    assert matrix.item_ids.is_sorted()
    assert matrix.catalogue.titles[matrix.item_ids.index("1")] == "Toy Story"


def test_saved_and_loaded_matrices_are_equal(tmp_path):
    matrix = random_matrix()

    save_matrix(tmp_path / "matrix", matrix)

    assert same(load_matrix(tmp_path / "matrix"), matrix)


def test_saving_again_replaces_the_matrix_and_leaves_nothing_behind(tmp_path):
    save_matrix(tmp_path, random_matrix(seed=0))
    save_matrix(tmp_path, random_matrix(seed=1))

    assert same(load_matrix(tmp_path), random_matrix(seed=1))
    assert len(list(tmp_path.iterdir())) == 2


def test_a_failed_save_leaves_the_former_matrix(tmp_path, monkeypatch):
    save_matrix(tmp_path, random_matrix(seed=0))

    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr("recommender_serving.engine.array_files.np.save", fail)
    with pytest.raises(OSError, match="disk full"):
        save_matrix(tmp_path, random_matrix(seed=1))

    assert same(load_matrix(tmp_path), random_matrix(seed=0))


@pytest.mark.parametrize("damage", ["truncate", "delete", "manifest"])
def test_damage_is_refused_and_named(tmp_path, damage):
    save_matrix(tmp_path, random_matrix())
    folder = tmp_path / json.loads((tmp_path / "matrix.json").read_text())["folder"]
    victim = tmp_path / "matrix.json" if damage == "manifest" else folder / "rating.npy"
    if damage == "delete":
        victim.unlink()
    else:
        victim.write_bytes(victim.read_bytes()[:-5])

    with pytest.raises(DamagedFileError, match=victim.name):
        load_matrix(tmp_path)


def test_build_reads_the_tables(tmp_path):
    create_tables(tmp_path)
    settings = default_settings(root=str(tmp_path))
    events = events_table([("u", "x", "rating", 4.0), ("v", "x", "view", None)])
    events = events.append_column("event_id", pa.array(["1", "2"]))
    write_deltalake(
        table_path(tmp_path, "interaction_history"),
        events.select(SCHEMAS["interaction_history"].names).cast(SCHEMAS["interaction_history"]),
        mode="append",
    )

    matrix = build_matrix(settings)

    assert matrix.user_ids[:] == ["u", "v"]
    assert matrix.position.topic == settings.streaming.topic
    assert matrix.position.table_versions["interaction_history"] == 1
    expected = observe(matrix.history, settings.weights, settings.ratings)
    np.testing.assert_array_equal(matrix.observations.strength, expected.strength)


def test_no_events_at_all_is_an_error_that_says_what_to_do(tmp_path):
    create_tables(tmp_path)

    with pytest.raises(EmptyMatrixError, match="import a history or ingest events"):
        build_matrix(default_settings(root=str(tmp_path)))
