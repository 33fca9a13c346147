import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from recommender_assets.experiments.attribution import attribute
from recommender_assets.experiments.log_frames import lists_of, lists_outside_experiments, reactions_of
from recommender_assets.ingestion.schemas import SCHEMAS, TableName
from recommender_assets.ingestion.tables import create_tables, table_path
from recommender_serving.engine.recommendation_log import LogSample

START = 1_700_000_000_000_000
FAR = START + 10**15


@pytest.fixture
def root(tmp_path: Path) -> Path:
    create_tables(tmp_path)
    return tmp_path


def write(root: Path, name: TableName, *rows: dict[str, Any]) -> None:
    table = pa.Table.from_pylist(list(rows), schema=SCHEMAS[name])
    write_deltalake(table_path(root, name), table, mode="append")


def served(ranking_id: str, user_id: str = "u1", at: int = 0, **changes: Any) -> dict[str, Any]:
    row = {
        "ranking_id": ranking_id,
        "user_id": user_id,
        "served_at": START + at,
        "items": ["a", "b"],
        "experiment": "e",
        "variant": "control",
        "forced": False,
        "logged_share": 1.0,
    }
    return row | changes


def event(offset: int, user_id: str = "u1", **changes: Any) -> dict[str, Any]:
    row = {
        "user_id": user_id,
        "item_id": "a",
        "event_type": "click",
        "timestamp": START + offset,
        "topic_id": "t",
        "kafka_partition": 0,
        "kafka_offset": offset,
        "ingested_at": dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
    }
    return row | changes


def account_for(root: Path, end: int) -> None:
    write(root, "ingestion_ledger", {"topic": "x", "topic_id": "t", "kafka_partition": 0, "to_offset": end})


def test_lists_of_an_experiment_are_its_own_in_time_and_not_forced(root: Path) -> None:
    write(
        root,
        "recommendation_log",
        served("before", at=-1),
        served("first"),
        served("last", at=9, variant="treatment"),
        served("after", at=10),
        served("forced", at=1, forced=True),
        served("other", at=1, experiment="f"),
        served("none", at=1, experiment=None, variant=None),
    )
    lists = lists_of(root, "e", START, START + 10).sort_values("served_at")
    assert lists.columns.tolist() == ["ranking_id", "user_id", "arm", "source", "served_at", "items", "teams"]
    assert lists["ranking_id"].tolist() == ["first", "last"]
    assert lists["arm"].tolist() == ["control", "treatment"]
    assert lists["served_at"].tolist() == [START, START + 9]
    assert lists["items"].tolist() == [("a", "b"), ("a", "b")]
    assert lists["teams"].tolist() == [None, None]


def test_interleaved_lists_have_their_teams(root: Path) -> None:
    write(root, "recommendation_log", served("r", variant="interleaved", teams=["treatment", "control"]))
    assert lists_of(root, "e", START, FAR)["teams"].tolist() == [("treatment", "control")]


def test_without_lists_the_frames_have_their_columns(root: Path) -> None:
    lists, reactions = lists_of(root, "e", START, FAR), reactions_of(root, [], START, FAR)
    assert (len(lists), len(reactions)) == (0, 0)
    assert attribute(lists, reactions, 24).daily.empty
    outside, share = lists_outside_experiments(root, START)
    assert (len(outside), share) == (0, 1.0)


def test_after_a_change_of_the_share_the_users_of_the_smaller_one_count(root: Path) -> None:
    users = [f"user{number}" for number in range(200)]
    rows = []
    for share, at in ((0.1, 0), (0.5, 10)):
        held = [user for user in users if LogSample(share).holds(user)]
        none: dict[str, Any] = {"experiment": None, "variant": None, "logged_share": share}
        rows += [served(f"{user} {share}", user, at, **none) for user in held]
    write(root, "recommendation_log", *rows, served("in experiment", "user1"))
    lists, share = lists_outside_experiments(root, START)
    assert share == 0.1
    assert lists["user_id"].value_counts().to_dict() == {user: 2 for user in users if LogSample(0.1).holds(user)}
    lists, share = lists_outside_experiments(root, START + 5)
    assert share == 0.5
    assert len(lists) == sum(LogSample(0.5).holds(user) for user in users)


def test_reactions_are_those_of_the_users_in_time_that_the_ledger_accounts_for(root: Path) -> None:
    write(
        root,
        "interactions",
        event(0),
        event(1, ranking_id="r", event_type="rating", rating=4.5),
        event(2, "u2"),
        event(3, "stranger"),
        event(4, timestamp=START - 1),
        event(5, timestamp=START + 100),
        event(6),
        event(7, topic_id="another"),
    )
    account_for(root, 6)
    reactions = reactions_of(root, ["u1", "u2", "u2"], START, START + 100).sort_values("at")
    assert reactions.columns.tolist() == ["user_id", "item_id", "kind", "rating", "at", "ranking_id"]
    assert reactions["user_id"].tolist() == ["u1", "u1", "u2"]
    assert reactions["at"].tolist() == [START, START + 1, START + 2]
    assert reactions["kind"].tolist() == ["click", "rating", "click"]
    assert reactions["rating"].tolist()[1] == 4.5
    assert reactions["rating"].isna().tolist() == [True, False, True]
    assert reactions["ranking_id"].isna().tolist() == [True, False, True]


def test_what_a_user_asked_to_forget_is_no_reaction(root: Path) -> None:
    forget = event(2, item_id=None, event_type="forget", timestamp=START + 10**12)
    write(root, "interactions", event(0), event(1, "u2"), forget, event(3))
    account_for(root, 4)
    reactions = reactions_of(root, ["u1", "u2"], START, START + 100)
    assert sorted(zip(reactions["user_id"], reactions["at"] - START, strict=True)) == [("u1", 3), ("u2", 1)]


def test_the_frames_lead_clicks_back_to_lists(root: Path) -> None:
    write(
        root,
        "recommendation_log",
        served("r1", "u1"),
        served("r2", "u2", variant="treatment"),
        served("r3", "u3", variant="treatment"),
    )
    write(
        root,
        "interactions",
        event(5, "u1", ranking_id="r1"),
        event(6, "u2"),
        event(7, "u3", item_id="z"),
        event(8, "u1", ranking_id="r2"),
    )
    account_for(root, 9)
    lists = lists_of(root, "e", START, FAR)
    outcomes = attribute(lists, reactions_of(root, lists["user_id"], START, FAR), 1)
    clicked = outcomes.daily.set_index("user_id")["clicked_lists"].to_dict()
    assert clicked == {"u1": 1, "u2": 1, "u3": 0}
    assert outcomes.unattributed == 2
