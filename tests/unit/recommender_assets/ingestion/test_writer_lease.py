import fcntl
import json
import os
import socket
import subprocess
import sys
import threading
import time
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


def test_whoever_waits_is_seen_and_gets_the_lease_when_it_is_free(tmp_path: Path) -> None:
    taken = threading.Event()

    def wait() -> None:
        with WriterLease(tmp_path, "maintenance", wait_s=30):
            taken.set()

    with WriterLease(tmp_path, "stream") as lease:
        assert not lease.is_wanted()
        waiting = threading.Thread(target=wait)
        waiting.start()
        while not lease.is_wanted():
            time.sleep(0.01)
        assert not taken.is_set()
    waiting.join(10)
    assert taken.is_set()
    with WriterLease(tmp_path, "stream") as lease:
        assert not lease.is_wanted()


def test_who_does_not_wait_does_not_ask_the_holder_to_give_way(tmp_path: Path) -> None:
    with WriterLease(tmp_path, "stream") as lease:
        seen = []

        def watch() -> None:
            while not done.is_set():
                seen.append(lease.is_wanted())

        done = threading.Event()
        watching = threading.Thread(target=watch)
        watching.start()
        with pytest.raises(WriterBusyError):
            WriterLease(tmp_path, "ingestion").__enter__()
        done.set()
        watching.join()
    assert seen
    assert not any(seen)


def test_a_look_at_the_lease_refuses_nobody(tmp_path: Path) -> None:
    """A look locks the file for an instant."""
    with WriterLease(tmp_path, "first"):
        pass
    with (tmp_path / "writer.lock").open(encoding="utf-8") as look:
        fcntl.flock(look, fcntl.LOCK_SH)
        threading.Timer(0.05, look.close).start()
        with WriterLease(tmp_path, "ingestion"):
            pass


def test_the_wait_ends(tmp_path: Path) -> None:
    with WriterLease(tmp_path, "stream"), pytest.raises(WriterBusyError, match="stream"):
        WriterLease(tmp_path, "maintenance", wait_s=0.3).__enter__()
