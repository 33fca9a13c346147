import socket
import stat
from pathlib import Path

import pytest

from recommender_assets.local import broker
from recommender_assets.local.broker import HOST, BrokerError, LocalBroker, free_port
from recommender_serving.engine.config import StreamingSettings


def test_the_wanted_port_is_taken_when_it_is_free() -> None:
    port = free_port(0)
    assert free_port(port) == port


def test_another_port_is_taken_when_something_listens_on_the_wanted_one() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) not in (port, 0)


@pytest.fixture
def java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in Java's place; what it does is written by the test."""
    program = tmp_path / "java"
    program.touch()
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(broker, "java_command", lambda: str(program))
    return program


def test_a_broker_that_ends_while_starting_shows_the_end_of_its_log(tmp_path: Path, java: Path) -> None:
    java.write_text(
        '#!/bin/sh\ncase "$*" in *StorageTool*) exit 0;; esac\necho "disk is full"; exit 1\n', encoding="utf-8"
    )
    with pytest.raises(BrokerError, match=r"(?s)ended while starting.*broker\.log:.*disk is full"):
        LocalBroker(tmp_path / "kafka", port=0).start()


def test_a_broker_that_never_answers_is_stopped(tmp_path: Path, java: Path) -> None:
    java.write_text(
        '#!/bin/sh\ncase "$*" in *StorageTool*) exit 0;; esac\necho $$ > "$(dirname "$0")/pid"; exec sleep 30\n',
        encoding="utf-8",
    )
    local = LocalBroker(tmp_path / "kafka", port=0)
    with pytest.raises(BrokerError, match="does not answer"):
        local.start(timeout_s=0.5)
    pid = (tmp_path / "pid").read_text(encoding="utf-8").strip()
    assert not Path(f"/proc/{pid}").exists()


def test_a_failing_format_is_reported(tmp_path: Path, java: Path) -> None:
    java.write_text('#!/bin/sh\necho "no such class"; exit 1\n', encoding="utf-8")
    with pytest.raises(BrokerError, match=r"(?s)formatting .*no such class"):
        LocalBroker(tmp_path / "kafka", port=0).start()


def test_stopping_what_never_started_does_nothing(tmp_path: Path) -> None:
    LocalBroker(tmp_path).stop()


def test_nobody_answers_where_nothing_listens() -> None:
    assert not broker.broker_answers(StreamingSettings(kafka_bootstrap_servers=f"{HOST}:{free_port(0)}"))


def test_what_listens_but_is_no_broker_does_not_answer() -> None:
    with socket.create_server((HOST, 0)) as listener:
        assert not broker.broker_answers(
            StreamingSettings(kafka_bootstrap_servers=f"{HOST}:{listener.getsockname()[1]}")
        )
