import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recommender_serving.engine.categories import CategoryIndex
from recommender_serving.engine.string_table import StringTable

NAMES = ["Drama", "Comedy", "Sci-Fi", "", "Ämter", "D"]


def names_of(index: CategoryIndex, item: int) -> set[str]:
    return {index.names[code] for code in index.members[index.combination[item]]}


@given(st.lists(st.lists(st.sampled_from(NAMES), max_size=4), max_size=30))
def test_every_item_keeps_its_categories(items: list[list[str]]) -> None:
    index = CategoryIndex.from_table(StringTable.from_strings("|".join(names) for names in items))
    assert [names_of(index, item) for item in range(len(items))] == [
        {name for name in names if name} for names in items
    ]
    assert list(index.names) == sorted({name for names in items for name in names if name})
    assert len(set(index.members)) == len(index.members)


@given(st.lists(st.lists(st.sampled_from(NAMES), max_size=3), max_size=20), st.sets(st.sampled_from(NAMES)))
def test_combinations_that_have_a_category_are_found(items: list[list[str]], wanted: set[str]) -> None:
    index = CategoryIndex.from_table(StringTable.from_strings("|".join(names) for names in items))
    having = index.having(index.codes(wanted).values())
    assert [bool(having[code]) for code in index.combination] == [bool(({*names} - {""}) & wanted) for names in items]


def test_order_and_repetition_inside_an_item_do_not_matter() -> None:
    index = CategoryIndex.from_table(StringTable.from_strings(["A|B", "B|A", "A|B|A", "A"]))
    assert index.combination[0] == index.combination[1] == index.combination[2] != index.combination[3]


def test_unknown_names_have_no_code() -> None:
    index = CategoryIndex.from_table(StringTable.from_strings(["A|B"]))
    assert index.codes(["B", "nothing"]) == {"B": 1}


def test_a_large_catalogue_is_indexed_across_blocks() -> None:
    texts = ["A|B", "C", "", "B|C|D"]
    draw = np.random.default_rng(0).integers(0, 4, 150_000)
    index = CategoryIndex.from_table(StringTable.from_strings(texts[place] for place in draw.tolist()))
    expected = [{*filter(None, text.split("|"))} for text in texts]
    assert all(names_of(index, item) == expected[draw[item]] for item in range(0, 150_000, 997))
    assert len(index.members) == 4
