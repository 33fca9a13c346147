import itertools

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from recommender_serving.engine.string_table import StringTable

# Few letters, one of two and one of four bytes, and lengths around the eight bytes compared at once.
words = st.text(alphabet="ab\0é😀", max_size=20)


def utf8(text: str) -> bytes:
    return text.encode("utf-8")


@given(st.lists(words))
def test_strings_come_back(strings: list[str]) -> None:
    table = StringTable.from_strings(strings)
    assert len(table) == len(strings)
    assert [table[i] for i in range(len(table))] == strings
    assert table[1:] == strings[1:]
    assert list(table) == strings
    assert table.problem() is None


@given(st.sets(words), st.lists(words))
def test_index_finds_exactly_what_is_there(strings: set[str], others: list[str]) -> None:
    ordered = sorted(strings, key=utf8)
    table = StringTable.from_strings(ordered)
    for word in [*ordered, *others]:
        assert table.index(word) == (ordered.index(word) if word in strings else -1)


def test_a_string_that_is_no_utf8_is_absent() -> None:
    assert StringTable.from_strings(["a", "b"]).index("\ud800") == -1


@given(st.lists(words, max_size=6))
@example(["a", "a\0"])
@example(["a\0", "a"])
@example(["12345678", "12345678"])
@example(["12345678", "123456789"])
@example(["123456789", "12345678"])
@example(["1234567890", "1234567891"])
@example(["é", "😀"])
@example(["\uffff", "\U00010000"])
def test_is_sorted_means_strictly_ascending_bytes(strings: list[str]) -> None:
    encoded = [utf8(word) for word in strings]
    ascending = all(left < right for left, right in itertools.pairwise(encoded))
    assert StringTable.from_strings(strings).is_sorted() == ascending


def test_is_sorted_looks_across_its_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recommender_serving.engine.string_table._PAIRS_PER_BLOCK", 2)
    assert StringTable.from_strings("abcdefg").is_sorted()
    for wrong in ("bacdefg", "acbdefg", "abdcefg", "abcdegf"):
        assert not StringTable.from_strings(wrong).is_sorted()


def test_positions_outside_are_refused() -> None:
    table = StringTable.from_strings(["a", "b"])
    assert table[-1] == "b"
    for position in (2, -3):
        with pytest.raises(IndexError, match="outside a table of 2 strings"):
            table[position]


@pytest.mark.parametrize(
    ("data", "offsets", "problem"),
    [
        (b"ab", [], "offsets"),
        (b"ab", [1, 2], "offsets"),
        (b"ab", [0, 1], "offsets"),
        (b"ab", [0, 2, 1, 2], "offsets"),
        (b"\xff", [0, 1], "not UTF-8"),
        ("é".encode(), [0, 1, 2], "middle of a character"),
    ],
)
def test_problems_are_named(data: bytes, offsets: list[int], problem: str) -> None:
    table = StringTable(np.frombuffer(data, dtype=np.uint8), np.array(offsets, dtype=np.int64))
    assert problem in str(table.problem())
