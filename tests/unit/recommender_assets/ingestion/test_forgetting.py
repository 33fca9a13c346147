import datetime as dt

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from recommender_assets.ingestion.forgetting import without_forgotten


def records(*rows: tuple[str, str, str, int, int]) -> pa.Table:
    """(user, event type, topic id, partition, offset), ingested one after the other."""
    user, kind, topic, partition, offset = ([row[i] for row in rows] for i in range(5))
    start = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    return pa.table(
        {
            "user_id": user,
            "event_type": kind,
            "topic_id": topic,
            "kafka_partition": pa.array(partition, pa.int32()),
            "kafka_offset": pa.array(offset, pa.int64()),
            "ingested_at": pa.array(
                [start + dt.timedelta(seconds=i) for i in range(len(rows))], pa.timestamp("us", "UTC")
            ),
        }
    )


def history(*users: str) -> pa.Table:
    return pa.table({"user_id": pa.array(users, pa.string())})


def places(table: pa.Table) -> list[tuple[str, str, int, int]]:
    names = ("user_id", "topic_id", "kafka_partition", "kafka_offset")
    return list(zip(*(table[name].to_pylist() for name in names), strict=True))


def test_without_a_forget_everything_stands():
    past, rows = history("a"), records(("a", "rating", "t", 0, 0))

    assert without_forgotten(past, rows) == (past, rows)


def test_a_forget_takes_lower_offsets_of_its_user_and_partition_only():
    rows = records(
        ("a", "rating", "t", 0, 0),
        ("b", "rating", "t", 0, 1),
        ("a", "view", "t", 1, 0),
        ("a", "forget", "t", 0, 2),
        ("a", "rating", "t", 0, 3),
    )

    _, stands = without_forgotten(history(), rows)

    assert places(stands) == [("b", "t", 0, 1), ("a", "t", 1, 0), ("a", "t", 0, 3)]


def test_a_forget_takes_the_imported_history_of_its_user():
    past, _ = without_forgotten(history("a", "b", "a"), records(("a", "forget", "t", 0, 0)))

    assert past["user_id"].to_pylist() == ["b"]


def test_the_last_of_several_forgets_counts():
    rows = records(
        ("a", "forget", "t", 0, 0),
        ("a", "rating", "t", 0, 1),
        ("a", "forget", "t", 0, 2),
        ("a", "rating", "t", 0, 3),
        ("b", "forget", "t", 0, 4),
    )

    _, stands = without_forgotten(history(), rows)

    assert places(stands) == [("a", "t", 0, 3)]


def test_a_forget_takes_all_of_earlier_topics_and_nothing_of_later_ones():
    rows = records(
        ("a", "rating", "z-first", 1, 9),
        ("b", "rating", "z-first", 1, 10),
        ("a", "forget", "m-second", 0, 5),
        ("a", "rating", "a-third", 0, 0),
    )

    _, stands = without_forgotten(history(), rows)

    assert places(stands) == [("b", "z-first", 1, 10), ("a", "a-third", 0, 0)]


@st.composite
def topics(draw):
    """Rows of few users in several topics and partitions, no place twice, ingested in any order."""
    places = st.tuples(st.sampled_from("zam"), st.integers(0, 2), st.integers(0, 6))
    rows = draw(st.lists(places, unique=True, min_size=1, max_size=25))
    kinds = st.sampled_from(["rating", "view", "remove", "forget"])
    return [(draw(st.sampled_from(["a", "b", "ü|,"])), draw(kinds), *place) for place in rows]


def naive_stands(rows):
    order = list(dict.fromkeys(topic for _, _, topic, _, _ in rows))
    forgets = [row for row in rows if row[1] == "forget"]

    def is_forgotten(row) -> bool:
        user, _, topic, partition, offset = row
        return any(
            user == by
            and (order.index(of) > order.index(topic) or ((of, at) == (topic, partition) and offset < before))
            for by, _, of, at, before in forgets
        )

    return [(row[0], *row[2:]) for row in rows if row[1] != "forget" and not is_forgotten(row)]


@given(topics())
def test_equals_a_row_by_row_implementation_across_topics_and_partitions(rows):
    past, stands = without_forgotten(history("a", "b", "ü|,", "c"), records(*rows))

    asked = {user for user, kind, *_ in rows if kind == "forget"}
    assert places(stands) == naive_stands(rows)
    assert past["user_id"].to_pylist() == [user for user in ("a", "b", "ü|,", "c") if user not in asked]


def test_one_forget_in_each_partition_takes_up_to_its_own_offset():
    rows = records(
        ("a", "rating", "t", 0, 4),
        ("a", "rating", "t", 2, 4),
        ("a", "forget", "t", 0, 9),
        ("a", "forget", "t", 2, 3),
        ("a", "rating", "t", 1, 0),
    )

    _, stands = without_forgotten(history(), rows)

    assert places(stands) == [("a", "t", 2, 4), ("a", "t", 1, 0)]
