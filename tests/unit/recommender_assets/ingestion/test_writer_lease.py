import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from recommender_assets.ingestion.writer_lease import WriterBusyError, WriterLease, lease_holder

HOLDER = """
import sys
from pathlib import Path
from recommender_assets.ingestion.writer_lease import WriterLease
with WriterLease(Path(sys.argv[1]), "ingestion"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_holder_is_refused_with_the_first_ones_name(tmp_path: Path) -> None:
    with WriterLease(tmp_path, "ingestion"), pytest.raises(WriterBusyError, match=f'"ingestion".*{os.getpid()}'):
        WriterLease(tmp_path, "vacuum").__enter__()


def test_it_is_free_again_afterwards_and_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), WriterLease(tmp_path, "ingestion"):
        raise ZeroDivisionError
    with WriterLease(tmp_path, "vacuum"):
        pass


def test_another_storage_root_is_another_lease(tmp_path: Path) -> None:
    with WriterLease(tmp_path / "a", "ingestion"), WriterLease(tmp_path / "b", "ingestion"):
        pass


def test_a_killed_process_leaves_no_lease_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(WriterBusyError, match=str(holder.pid)):
            WriterLease(tmp_path, "vacuum").__enter__()
        holder.kill()
        holder.wait(10)
        with WriterLease(tmp_path, "vacuum"):
            pass


def test_the_file_names_the_present_holder_only(tmp_path: Path) -> None:
    with WriterLease(tmp_path / "new folder", "a purpose with many words"):
        pass
    with WriterLease(tmp_path / "new folder", "vacuum"):
        holder = json.loads((tmp_path / "new folder" / "writer.lock").read_text(encoding="utf-8"))
    assert holder == {"purpose": "vacuum", "host": socket.gethostname(), "pid": os.getpid()}


def test_a_refused_holder_leaves_the_lease_and_its_name_alone(tmp_path: Path) -> None:
    with WriterLease(tmp_path, "ingestion"):
        for _ in range(2):
            with pytest.raises(WriterBusyError, match=f'tables below {tmp_path} are being written by .*"ingestion"'):
                WriterLease(tmp_path, "vacuum").__enter__()


def test_the_holder_is_told_and_not_disturbed(tmp_path: Path) -> None:
    assert lease_holder(tmp_path) is None
    with WriterLease(tmp_path, "stream"):
        assert lease_holder(tmp_path) == f"stream ({socket.gethostname()}, process {os.getpid()})"
        with pytest.raises(WriterBusyError):
            WriterLease(tmp_path, "vacuum").__enter__()
    assert lease_holder(tmp_path) is None
    with WriterLease(tmp_path, "vacuum"):
        (tmp_path / "writer.lock").write_text("not json", encoding="utf-8")
        assert lease_holder(tmp_path) == "another process"
