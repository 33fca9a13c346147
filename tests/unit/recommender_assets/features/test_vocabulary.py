import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from recommender_assets.features.vocabulary import arrow_strings, encode_ids, positions_in
from recommender_serving.engine.string_table import StringTable

TEXTS = st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=6), min_size=1, max_size=20)


@given(TEXTS)
def test_ids_are_sorted_by_bytes_and_every_row_finds_its_own(ids):
    table, index = encode_ids(pa.chunked_array([ids[: len(ids) // 2], ids[len(ids) // 2 :]], pa.string()))

    assert table[:] == sorted(set(ids), key=str.encode)
    assert [table[int(i)] for i in index] == ids


@given(TEXTS, TEXTS)
def test_positions_are_those_of_the_table_itself(known, wanted):
    table = StringTable.from_strings(sorted(set(known), key=str.encode))

    found = positions_in(table, StringTable.from_strings(wanted))

    np.testing.assert_array_equal(found, [table.index(text) for text in wanted])


@given(TEXTS)
def test_arrow_strings_are_the_same_strings(texts):
    assert arrow_strings(StringTable.from_strings(texts)).to_pylist() == texts
