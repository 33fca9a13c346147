import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender_assets.ingestion.checkpoint import OffsetsLogError, end_offsets


def write_log(checkpoint: Path, batch_id: int, text: str) -> None:
    (checkpoint / "offsets").mkdir(exist_ok=True)
    (checkpoint / "offsets" / str(batch_id)).write_text(text, encoding="utf-8")


def test_the_planned_end_of_each_partition_is_read(tmp_path: Path) -> None:
    write_log(tmp_path, 3, 'v1\n{"batchWatermarkMs":0}\n{"events":{"0":12,"1":7}}')
    assert end_offsets(tmp_path, 3, "events") == {0: 12, 1: 7}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v1\n{}\n",
        'v1\n{}\n{"other":{"0":1}}',
        "v1\n{}\n-",
        "null",
        "[]",
        '{"events":[1]}',
        '{"events":null}',
        '{"events":{"a":1}}',
        '{"events":{"0":null}}',
    ],
)
def test_a_log_of_another_form_is_an_error_that_names_the_file(tmp_path: Path, text: str) -> None:
    write_log(tmp_path, 0, text)
    with pytest.raises(OffsetsLogError, match="offsets/0: no offsets of topic events"):
        end_offsets(tmp_path, 0, "events")


def test_a_missing_batch_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OffsetsLogError, match="offsets/5"):
        end_offsets(tmp_path, 5, "events")


@given(st.dictionaries(st.integers(0, 99), st.integers(0, 2**62)), st.integers(0, 10**6))
def test_any_offsets_come_back_beside_those_of_another_topic(offsets: dict[int, int], batch_id: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_log(Path(folder), batch_id, f"v1\n{{}}\n{json.dumps({'other': {'0': 5}, 'events': offsets})}\n")
        assert end_offsets(Path(folder), batch_id, "events") == offsets
