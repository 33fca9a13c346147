import json
import logging
import sys
from collections.abc import Iterator

import pytest

from recommender_serving.access.request_ids import current_request_id
from recommender_serving.logs import JsonLines, configure_logs
from recommender_serving.settings import LogSettings


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    """The root logger, put back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


def record(message: str, *arguments: object, **extra: object) -> logging.LogRecord:
    return logging.getLogger("some.logger").makeRecord(
        "some.logger", logging.WARNING, "file.py", 1, message, arguments, None, extra=dict(extra)
    )


def test_a_line_is_one_json_object() -> None:
    line = JsonLines().format(record("%d of %s\nlost", 3, "many", status=503, odd={1}))
    assert "\n" not in line
    document = json.loads(line)
    assert document.pop("time").endswith("Z")
    assert document == {
        "level": "warning",
        "logger": "some.logger",
        "message": "3 of many\nlost",
        "status": 503,
        "odd": [1],
    }


def test_the_request_id_is_in_the_lines_of_its_request() -> None:
    token = current_request_id.set("mine")
    assert json.loads(JsonLines().format(record("x")))["request_id"] == "mine"
    current_request_id.reset(token)
    assert "request_id" not in json.loads(JsonLines().format(record("x")))


def test_an_exception_is_part_of_its_line() -> None:
    entry = record("it failed")
    try:
        _ = 1 / int("0")
    except ZeroDivisionError:
        entry.exc_info = sys.exc_info()
    document = json.loads(JsonLines().format(entry))
    assert document["exception"].endswith("ZeroDivisionError: division by zero")


def test_the_configured_level_holds_for_every_logger(
    root_logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs(LogSettings(level="warning"))
    logging.getLogger("a").info("quiet")
    logging.getLogger("b").warning("loud")
    [line] = capsys.readouterr().err.splitlines()
    assert json.loads(line)["message"] == "loud"
