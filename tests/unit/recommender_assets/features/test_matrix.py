import json
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender_assets.features.matrix import (
    EmptyMatrixError,
    build_matrix,
    load_matrix,
    matrix_of_events,
    save_matrix,
)
from recommender_assets.ingestion.schemas import SCHEMAS
from recommender_assets.ingestion.tables import create_tables, table_path
from recommender_serving.engine.array_files import DamagedFileError, sha256_of
from recommender_serving.engine.config import EventWeights, RatingScale
from recommender_serving.engine.history import observe
from recommender_serving.engine.manifest import Position
from tests.matrices import NO_ITEMS, default_settings, events_table, matrix_from, movielens_matrix, random_matrix

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

    assert matrix.item_ids[:] == ["a", "b", "never seen", "z"]
    assert matrix.catalogue.titles[:] == ["", "", "No", "Zed"]
    assert matrix.catalogue.categories[:] == ["", "", "", "Drama|War"]
    assert matrix.catalogue.year.tolist() == [0, 0, 2000, 1999]
    assert matrix.popularity.tolist() == [1.0, 1.0, 0.0, 1.0]


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
    defaults = default_settings(root=str(tmp_path))
    events = events_table([("u", "x", "rating", 4.0), ("v", "x", "view", None)])
    events = events.append_column("event_id", pa.array(["1", "2"]))
    write_deltalake(
        table_path(tmp_path, "interaction_history"),
        events.select(SCHEMAS["interaction_history"].names).cast(SCHEMAS["interaction_history"]),
        mode="append",
    )

    matrix = build_matrix(defaults)

    assert matrix.user_ids[:] == ["u", "v"]
    assert matrix.position.topic == defaults.streaming.topic
    assert matrix.position.table_versions["interaction_history"] == 1
    expected = observe(matrix.history, defaults.weights, defaults.ratings)
    np.testing.assert_array_equal(matrix.observations.strength, expected.strength)


def test_no_events_at_all_is_an_error_that_says_what_to_do(tmp_path):
    create_tables(tmp_path)

    with pytest.raises(EmptyMatrixError, match="import a history or ingest events"):
        build_matrix(default_settings(root=str(tmp_path)))


def test_one_event_is_a_matrix(tmp_path):
    matrix = matrix_from(events_table([("u", "i", "click", None)]))

    save_matrix(tmp_path, matrix)

    assert (matrix.n_users, matrix.n_items, matrix.popularity.tolist()) == (1, 1, [1.0])
    assert np.isnan(matrix.observations.rating).all()
    assert same(load_matrix(tmp_path), matrix)


def test_no_event_is_refused_without_tables_too():
    with pytest.raises(EmptyMatrixError, match="no interactions to learn from"):
        matrix_from(events_table([]))


def test_a_user_who_removed_everything_keeps_an_index_and_no_row(tmp_path):
    matrix = matrix_from(
        events_table([("a", "x", "rating", 4.0), ("a", "x", "remove", None), ("b", "y", "view", None)])
    )

    save_matrix(tmp_path, matrix)

    for found in (matrix, load_matrix(tmp_path)):
        assert found.observations.indptr.tolist() == [0, 0, 1]
        assert found.popularity.tolist() == [0.0, 1.0]
        assert len(found.history.item) == 3


def test_what_comes_after_a_removal_stands_alone():
    matrix = matrix_from(
        events_table(
            [
                ("a", "x", "rating", 5.0),
                ("a", "x", "purchase", None),
                ("a", "x", "remove", None),
                ("a", "x", "view", None),
            ]
        )
    )

    assert np.isnan(matrix.observations.rating).all()
    np.testing.assert_allclose(matrix.observations.strength, [0.1])


def test_strengths_follow_the_weights_and_the_scale_that_are_given():
    events = events_table([("a", "x", "rating", 10.0), ("a", "y", "rating", 5.5), ("a", "z", "view", None)])

    matrix = matrix_of_events(
        events,
        NO_ITEMS,
        Position(),
        EventWeights(rating=2.0, lowest_rating=1.0, view=0.3),
        RatingScale(min=1.0, max=10.0),
    )

    np.testing.assert_allclose(matrix.observations.strength, [2.0, 1.5, 0.3])


ODD_IDS = st.lists(st.text(alphabet='a|,"\\/ \t\n\0é😀', max_size=4), unique=True, min_size=1, max_size=6)


@settings(max_examples=25, deadline=None)
@given(ODD_IDS, ODD_IDS)
def test_ids_of_any_characters_survive(users, items):
    rows = [
        (user, item, "rating", 0.5 + (3 * u + i) % 10 / 2)
        for u, user in enumerate(users)
        for i, item in enumerate(items)
    ]
    events = events_table(rows)

    with tempfile.TemporaryDirectory() as folder:
        save_matrix(Path(folder), matrix_from(events))
        found = load_matrix(Path(folder))

    user, item = found.observations.user_of_row(), found.observations.item
    ratings = found.observations.rating.tolist()
    assert {(found.user_ids[u], found.item_ids[i], r) for u, i, r in zip(user, item, ratings, strict=True)} == {
        (u, i, r) for u, i, _, r in rows
    }


def test_the_catalogue_may_know_more_items_in_any_order_and_fewer():
    items = pa.Table.from_pylist(
        [
            {"item_id": name, "title": name.upper(), "categories": [name], "year": 1900 + i}
            for i, name in enumerate("zyxwv")
        ],
        schema=SCHEMAS["items"],
    )

    matrix = matrix_from(events_table([("u", name, "view", None) for name in ("w", "z", "unknown")]), items)

    assert matrix.item_ids[:] == ["unknown", "v", "w", "x", "y", "z"]
    assert matrix.catalogue.titles[:] == ["", "V", "W", "X", "Y", "Z"]
    assert matrix.catalogue.categories[:] == ["", "v", "w", "x", "y", "z"]
    assert matrix.catalogue.year.tolist() == [0, 1904, 1903, 1902, 1901, 1900]
    assert matrix.observations.item.tolist() == [0, 2, 5]


def test_a_matrix_that_was_never_saved_is_not_found(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"matrix\.json"):
        load_matrix(tmp_path)


def change_manifest(directory, change) -> None:
    path = directory / "matrix.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda manifest: manifest["digests"].pop("year"), "year.npy: the manifest does not list it"),
        (lambda manifest: manifest.update(folder="arrays-gone"), r"indptr\.npy"),
        (lambda manifest: manifest.pop("scale"), r"matrix\.json.*scale"),
        (lambda manifest: manifest["weights"].update(view="much"), r"matrix\.json.*view"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused_and_says_where(tmp_path, change, named):
    save_matrix(tmp_path, random_matrix())
    change_manifest(tmp_path, change)

    with pytest.raises(DamagedFileError, match=named):
        load_matrix(tmp_path)


def test_the_manifest_of_another_matrix_is_refused(tmp_path):
    save_matrix(tmp_path / "one", random_matrix(seed=0))
    save_matrix(tmp_path / "other", random_matrix(seed=1))
    folder = json.loads((tmp_path / "one" / "matrix.json").read_text())["folder"]
    change_manifest(tmp_path / "other", lambda manifest: manifest.update(folder=folder))
    (tmp_path / "one" / "matrix.json").write_bytes((tmp_path / "other" / "matrix.json").read_bytes())

    with pytest.raises(DamagedFileError, match="SHA-256"):
        load_matrix(tmp_path / "one")


def test_an_array_of_another_type_is_refused_although_its_digest_is_right(tmp_path):
    save_matrix(tmp_path, random_matrix())
    folder = tmp_path / json.loads((tmp_path / "matrix.json").read_text())["folder"]
    np.save(folder / "year.npy", np.load(folder / "year.npy").astype(np.int64))
    change_manifest(tmp_path, lambda manifest: manifest["digests"].update(year=sha256_of(folder / "year.npy")))

    with pytest.raises(DamagedFileError, match=r"year\.npy: expected .* int16, got int64"):
        load_matrix(tmp_path)


def test_loaded_arrays_can_not_be_changed_by_accident(tmp_path):
    save_matrix(tmp_path, random_matrix())

    with pytest.raises(ValueError, match="read-only"):
        load_matrix(tmp_path).history.rating[0] = 1.0


@pytest.mark.parametrize("content", [b"", b"{", b'{"folder": "\xff"}'])
def test_a_damaged_manifest_is_named_and_can_be_replaced(tmp_path, content):
    save_matrix(tmp_path, random_matrix(seed=0))
    (tmp_path / "matrix.json").write_bytes(content)
    with pytest.raises(DamagedFileError, match=r"matrix\.json"):
        load_matrix(tmp_path)

    save_matrix(tmp_path, random_matrix(seed=1))

    assert same(load_matrix(tmp_path), random_matrix(seed=1))
