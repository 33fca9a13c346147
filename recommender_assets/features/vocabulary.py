"""String columns as indices into sorted vocabularies."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recommender_serving.engine.string_table import StringTable


def encode_ids(ids: pa.ChunkedArray) -> tuple[StringTable, NDArray[np.int64]]:
    """Vocabulary of a column, sorted by UTF-8 bytes, and each row's index in it."""
    encoded = ids.combine_chunks().dictionary_encode()
    order = pc.sort_indices(encoded.dictionary).to_numpy()  # Arrow compares strings by their bytes
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return StringTable.from_strings(encoded.dictionary.take(pa.array(order)).to_pylist()), rank[
        encoded.indices.to_numpy()
    ]


def arrow_strings(table: StringTable) -> pa.LargeStringArray:
    """The same strings as an Arrow array, without copying their bytes."""
    offsets, data = (np.ascontiguousarray(part) for part in (table.offsets, table.data))
    return pa.LargeStringArray.from_buffers(len(table), pa.py_buffer(offsets), pa.py_buffer(data))


def positions_in(table: StringTable, wanted: StringTable) -> NDArray[np.int64]:
    """(len(wanted),) index of each wanted string in `table`, -1 if absent."""
    found = pc.index_in(arrow_strings(wanted), value_set=arrow_strings(table))
    positions: NDArray[np.int64] = pc.fill_null(found, -1).to_numpy().astype(np.int64)
    return positions
