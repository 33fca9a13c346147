"""After any sequence of changes a refresh leaves what a computation from all events would give."""

import datetime as dt
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from recommender_assets.ingestion.commits import LedgerRow, append_rows
from recommender_assets.ingestion.profiles import refresh
from recommender_assets.ingestion.profiles.profile_table import ProfileTable
from recommender_assets.ingestion.profiles.reading import read_profiles
from recommender_assets.ingestion.profiles.refresh import ProfileRefresh, refresh_profiles
from recommender_assets.ingestion.schemas import SCHEMAS, ProfileTableName, TableName
from recommender_assets.ingestion.tables import create_tables, read_table, table_path
from recommender_assets.settings import Settings
from recommender_serving.engine.activity import DAY_US, WINDOWS, user_profile
from recommender_serving.engine.events import Event
from tests.factories import START_US, history_of, make_event

USERS = [f"u{n}" for n in range(5)]
ITEMS = [f"i{n}" for n in range(5)]
TOPIC_ID = "topic-1"
CATEGORIES = {"i0": ["drama"], "i1": ["drama", "crime"], "i2": [], "i3": ["comedy", "crime"]}


def time(timestamp_us: int) -> dt.datetime:
    return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=timestamp_us)


def row(event: Event) -> dict[str, Any]:
    fields = {name: getattr(event, name) for name in ("user_id", "item_id", "event_type", "rating", "event_id")}
    return fields | {"event_key": event.event_key, "timestamp": time(event.timestamp_us)}


class World:
    """Event tables in a folder, and the events they hold as plain Python."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.root = settings.root
        self.live: list[Event] = []
        self.committed = 0
        self.past: list[Event] = []
        self.categories = dict(CATEGORIES)
        create_tables(self.root)
        self.write_items()

    def write(self, name: TableName, rows: list[dict[str, Any]], mode: str = "append") -> None:
        table = pa.Table.from_pylist(rows, schema=SCHEMAS[name])
        write_deltalake(table_path(self.root, name), table, mode=mode)

    def write_items(self) -> None:
        rows = [
            {"item_id": item, "title": item, "categories": names, "year": 0} for item, names in self.categories.items()
        ]
        self.write("items", rows, "overwrite")

    def append(self, events: list[Event]) -> None:
        """Write events that no ledger row covers yet."""
        if not events:
            return
        rows = []
        for offset, event in enumerate(events, start=len(self.live)):
            record = {"topic_id": TOPIC_ID, "kafka_partition": 0, "kafka_offset": offset}
            rows.append(row(event) | record | {"ingested_at": time(START_US)})
        self.write("interactions", rows)
        self.live += events

    def commit(self) -> None:
        if self.committed < len(self.live):
            rows = [LedgerRow(0, self.committed, len(self.live), accepted=len(self.live) - self.committed)]
            append_rows(self.root, "topic", TOPIC_ID, rows)
            self.committed = len(self.live)

    def ingest(self, events: list[Event]) -> None:
        self.append(events)
        self.commit()

    def import_past(self, events: list[Event]) -> None:
        """Replace the imported history."""
        self.past = [event for event in events if event.event_type != "forget"]
        self.write("interaction_history", [row(event) for event in self.past], "overwrite")

    def compact(self) -> None:
        DeltaTable(table_path(self.root, "interactions")).optimize.compact()

    def recategorise(self, item: str, names: list[str]) -> None:
        self.categories[item] = names
        self.write_items()

    def events(self) -> list[Event]:
        """What counts: committed, and not forgotten."""
        counted = self.live[: self.committed]
        forgets = {event.user_id: offset for offset, event in enumerate(counted) if event.event_type == "forget"}
        past = [event for event in self.past if event.user_id not in forgets]
        return past + [event for offset, event in enumerate(counted) if offset > forgets.get(event.user_id, -1)]

    def standing(self) -> list[Event]:
        latest: dict[tuple[str, str | None, str], Event] = {}
        for event in sorted(self.events(), key=lambda event: (event.timestamp_us, event.event_key, event.rating or 0)):
            latest[event.user_id, event.item_id, event.event_type] = event

        def is_removed(event: Event) -> bool:
            removal = latest.get((event.user_id, event.item_id, "remove"))
            order = (event.timestamp_us, event.event_key)
            return removal is not None and order <= (removal.timestamp_us, removal.event_key)

        return [event for event in latest.values() if event.event_type != "remove" and not is_removed(event)]


@pytest.fixture(scope="module")
def empty_tables(project_settings: Settings) -> Iterator[Path]:
    """Creating tables takes longer than anything else here, so every example starts from a copy."""
    with TemporaryDirectory() as folder:
        create_tables(Path(folder) / "data")
        yield Path(folder) / "data"


@pytest.fixture(scope="module")
def new_world(project_settings: Settings, empty_tables: Path) -> Iterator[Callable[[], World]]:
    with TemporaryDirectory() as folder:

        def make() -> World:
            root = Path(folder) / "data"
            shutil.rmtree(root, ignore_errors=True)
            shutil.copytree(empty_tables, root)
            storage = msgspec.structs.replace(project_settings.storage, root=str(root))
            return World(msgspec.structs.replace(project_settings, storage=storage))

        yield make


@pytest.fixture
def world(new_world: Callable[[], World]) -> World:
    return new_world()


def profiles(settings: Settings, name: ProfileTableName, **arguments: Any) -> dict[str, dict[str, Any]]:
    key = "user_id" if name == "user_profiles" else "item_id"
    rows = read_profiles(settings.root, name, **arguments).to_pylist()
    assert len({each[key] for each in rows}) == len(rows)
    return {each.pop(key): each for each in rows}


def assert_right(world: World) -> None:
    """Users agree with the service's function, items with plain counting, both with a computation from nothing."""
    settings = world.settings
    stand = world.standing()
    users, items = profiles(settings, "user_profiles"), profiles(settings, "item_profiles")
    assert set(users) == {event.user_id for event in stand}
    assert set(items) == {event.item_id for event in stand}
    history = {user: [event for event in world.events() if event.user_id == user] for user in users}
    for user, found in users.items():
        names = [world.categories.get(item, []) for item in ITEMS]
        expected = user_profile(
            history_of(
                history[user] and [msgspec.structs.replace(event, user_id="u") for event in history[user]], ["u"], ITEMS
            ),
            names.__getitem__,
            settings.weights,
            settings.ratings,
            round(found["as_of"].timestamp() * 1_000_000),
        )
        assert found["interactions"] == expected.interactions
        assert found["ratings"] == expected.ratings
        assert found["mean_rating"] == pytest.approx(expected.mean_rating)
        assert found["first_interaction"] == time(expected.first_interaction_us or 0)
        assert found["last_interaction"] == time(expected.last_interaction_us or 0)
        assert {window.name: found[f"interactions_{window.name}"] for window in WINDOWS} == expected.windows
        assert dict(found["category_affinity"]) == pytest.approx(expected.category_affinity)
    for item, found in items.items():
        of_item = [event for event in stand if event.item_id == item]
        ratings = [event.rating for event in of_item if event.rating is not None]
        as_of = round(found["as_of"].timestamp() * 1_000_000)
        assert found["users"] == len({event.user_id for event in of_item})
        assert found["interactions"] == len(of_item)
        assert found["ratings"] == len(ratings)
        assert found["mean_rating"] == (pytest.approx(np.mean(ratings)) if ratings else None)
        assert found["first_interaction"] == time(min(event.timestamp_us for event in of_item))
        assert found["last_interaction"] == time(max(event.timestamp_us for event in of_item))
        for window in WINDOWS:
            times = np.array([event.timestamp_us for event in of_item])
            assert found[f"interactions_{window.name}"] == window.covers(times, as_of).sum()
    stored = {name: _sorted(settings.root, name) for name in ("user_profiles", "item_profiles")}
    anew = _recomputed(settings)
    for name, table in stored.items():
        assert table == anew[name]


def _sorted(root: Path, name: TableName) -> list[dict[str, Any]]:
    return sorted(read_table(root, name).to_pylist(), key=lambda each: next(iter(each.values())))


def _recomputed(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    with TemporaryDirectory() as folder:
        shutil.copytree(settings.root, folder, dirs_exist_ok=True)
        for name in ("user_profiles", "item_profiles"):
            shutil.rmtree(Path(folder) / "tables" / name)
        storage = msgspec.structs.replace(settings.storage, root=folder)
        assert refresh_profiles(msgspec.structs.replace(settings, storage=storage)).is_complete
        return {name: _sorted(Path(folder), name) for name in ("user_profiles", "item_profiles")}


events = st.builds(
    make_event,
    user_id=st.sampled_from(USERS),
    item_id=st.sampled_from(ITEMS),
    event_type=st.sampled_from(["rating", "rating", "view", "purchase", "remove", "forget"]),
    rating=st.integers(1, 10).map(lambda half_stars: half_stars / 2),
    timestamp_us=st.sampled_from([0, 1, 30, 3_600, 90_000, 86_400 * 8, 86_400 * 33, 86_400 * 400]).flatmap(
        lambda seconds: st.integers(0, 3).map(lambda n: START_US + (seconds + n) * 1_000_000)
    ),
)
batches = st.lists(events, min_size=1, max_size=6)
steps = st.one_of(
    batches.map(lambda batch: ("ingest", batch)),
    batches.map(lambda batch: ("ingest", batch)),
    batches.map(lambda batch: ("append", batch)),
    batches.map(lambda batch: ("import_past", batch)),
    st.just(("commit",)),
    st.just(("compact",)),
    st.tuples(st.just("recategorise"), st.sampled_from(ITEMS), st.lists(st.sampled_from(["drama", "war"]), max_size=2)),
)


@hypothesis_settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(steps, min_size=1, max_size=3), min_size=1, max_size=4))
def test_a_refresh_gives_what_all_events_give(
    new_world: Callable[[], World], rounds: list[list[tuple[Any, ...]]]
) -> None:
    world = new_world()
    for number, changes in enumerate(rounds):
        for name, *arguments in changes:
            getattr(world, name)(*arguments)
        assert refresh_profiles(world.settings).is_complete == (number == 0)
    assert_right(world)


@pytest.fixture
def filled(world: World) -> World:
    """Three users, a past, a repeated view and a removal; profiles are up to date."""
    world.import_past(
        [make_event("u0", "i0", timestamp_us=START_US - 400 * DAY_US), make_event("u1", "i1", rating=1.0)]
    )
    world.ingest(
        [
            make_event("u0", "i1", "view", timestamp_us=START_US),
            make_event("u0", "i1", "view", timestamp_us=START_US + DAY_US),
            make_event("u1", "i1", rating=5.0, timestamp_us=START_US + 2 * DAY_US),
            make_event("u2", "i2", timestamp_us=START_US + 3 * DAY_US),
            make_event("u2", "i2", "remove", timestamp_us=START_US + 4 * DAY_US),
        ]
    )
    refresh_profiles(world.settings)
    return world


def test_only_what_changed_is_written(filled: World) -> None:
    assert refresh_profiles(filled.settings) == ProfileRefresh()
    filled.ingest([make_event("u0", "i3", timestamp_us=START_US + 5 * DAY_US)])
    assert refresh_profiles(filled.settings) == ProfileRefresh(users=1, items=1)
    assert_right(filled)


def test_a_late_event_counts_in_the_windows_it_belongs_to(filled: World) -> None:
    before = profiles(filled.settings, "user_profiles")["u1"]
    filled.ingest([make_event("u1", "i3", "view", timestamp_us=START_US + 2 * DAY_US - 3 * 3_600_000_000)])
    refresh_profiles(filled.settings)
    after = profiles(filled.settings, "user_profiles")["u1"]
    grown = {name for name in after if after[name] != before[name]}
    windows = {"interactions_24_hours", "interactions_7_days", "interactions_30_days"}
    assert grown == {"interactions", "category_affinity", "first_interaction"} | windows
    assert_right(filled)


def test_a_rating_that_changes_moves_and_one_that_is_taken_back_is_gone(filled: World) -> None:
    filled.ingest([make_event("u1", "i1", rating=2.0, timestamp_us=START_US + 6 * DAY_US)])
    refresh_profiles(filled.settings)
    item = profiles(filled.settings, "item_profiles")["i1"]
    assert (item["ratings"], item["mean_rating"], item["interactions"], item["users"]) == (1, 2.0, 2, 2)
    filled.ingest([make_event("u1", "i1", "remove", timestamp_us=START_US + 7 * DAY_US)])
    refresh_profiles(filled.settings)
    item = profiles(filled.settings, "item_profiles")["i1"]
    assert (item["ratings"], item["mean_rating"], item["interactions"], item["users"]) == (0, None, 1, 1)
    assert item["last_interaction"] == time(START_US + DAY_US), "found among the events that are left"
    assert "u1" not in profiles(filled.settings, "user_profiles")
    assert_right(filled)


def test_a_forgotten_user_has_no_profile_until_the_next_event(filled: World) -> None:
    filled.ingest([make_event("u0", None, "forget", timestamp_us=START_US)])
    refresh_profiles(filled.settings)
    assert set(profiles(filled.settings, "user_profiles")) == {"u1"}
    assert set(profiles(filled.settings, "item_profiles")) == {"i1"}
    filled.ingest([make_event("u0", "i0", timestamp_us=START_US)])
    refresh_profiles(filled.settings)
    assert profiles(filled.settings, "user_profiles")["u0"]["interactions"] == 1
    assert_right(filled)


@pytest.mark.parametrize("first", ["user_profiles", "item_profiles"])
def test_a_refresh_that_was_killed_between_its_two_commits_is_repeated(
    filled: World, monkeypatch: pytest.MonkeyPatch, first: ProfileTableName
) -> None:
    filled.ingest([make_event("u0", "i3"), make_event("u1", "i3")])

    def killed(table: ProfileTable, *arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        real = ProfileTable.update
        patch.setattr(
            ProfileTable, "update", lambda table, *rest: (real if table.name == first else killed)(table, *rest)
        )
        tables = [ProfileTable(filled.root, name) for name in ("user_profiles", "item_profiles")]
        with pytest.raises(KeyboardInterrupt):
            refresh._refresh(
                filled.settings,
                sorted(tables, key=lambda table: table.name != first),
                refresh.EventsAsOf(filled.root, refresh.Coverage.now(filled.settings)),
            )
    filled.ingest([make_event("u2", "i3")])
    refresh_profiles(filled.settings)
    assert profiles(filled.settings, "item_profiles")["i3"]["users"] == 3
    assert_right(filled)


def test_of_two_refreshes_at_once_the_slower_one_changes_nothing(filled: World) -> None:
    filled.ingest([make_event("u0", "i3")])
    slow = ProfileTable(filled.root, "item_profiles")
    refresh_profiles(filled.settings)
    with pytest.raises(CommitFailedError):
        refresh._refresh(
            filled.settings, [slow], refresh.EventsAsOf(filled.root, refresh.Coverage.now(filled.settings))
        )
    assert_right(filled)


def test_profiles_are_computed_anew_when_their_sources_are_gone(
    filled: World, caplog: pytest.LogCaptureFixture
) -> None:
    filled.ingest([make_event("u2", "i3")])
    refresh_profiles(filled.settings)
    filled.compact()
    DeltaTable(table_path(filled.root, "interactions")).vacuum(
        retention_hours=0, enforce_retention_duration=False, dry_run=False
    )
    filled.ingest([make_event("u0", "i3")])
    assert refresh_profiles(filled.settings).is_complete
    assert "computed anew" in caplog.text
    assert_right(filled)


def test_profiles_are_computed_anew_under_other_weights(filled: World) -> None:
    weights = msgspec.structs.replace(filled.settings.weights, view=1.0)
    changed = msgspec.structs.replace(filled.settings, weights=weights)
    filled.ingest([make_event("u0", "i3", rating=1.0)])
    assert refresh_profiles(changed).is_complete
    assert not refresh_profiles(changed).is_complete


def test_users_are_taken_in_passes_of_bounded_size(filled: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refresh, "_USERS_PER_PASS", 1)
    filled.ingest([make_event(user, "i3", timestamp_us=START_US + n) for n, user in enumerate(USERS)])
    assert refresh_profiles(filled.settings) == ProfileRefresh(users=5, items=1)
    assert_right(filled)


def test_a_time_before_what_is_kept_is_refused(filled: World) -> None:
    newest = START_US + 2 * DAY_US
    read_profiles(filled.root, "user_profiles", as_of=time(newest - DAY_US))
    with pytest.raises(ValueError, match=r"as_of must not lie more than a day before the newest event \(2024-01-03"):
        read_profiles(filled.root, "user_profiles", as_of=time(newest - DAY_US - 1))
    only = read_profiles(filled.root, "user_profiles", ids=["u0"], as_of=time(START_US + DAY_US))
    assert only["user_id"].to_pylist() == ["u0"]
    assert only["interactions_1_hour"].to_pylist() == [1]
    assert read_profiles(filled.root, "user_profiles", ids=["u9"]).num_rows == 0
