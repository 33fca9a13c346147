"""The short form of `make fault-test`: Spark and the broker are killed once each, and a batch is poisoned."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from recommender_assets.ingestion.ledger import accounting_errors, contiguity_gaps
from tests.fault.generator import Generator
from tests.fault.system import System

POISON = 10_000


@pytest.fixture
def system(jars: Path, tmp_path: Path) -> Iterator[System]:
    system = System(tmp_path)
    try:
        yield system
    finally:
        system.close()


def test_kills_of_spark_and_broker_and_a_poisoned_batch_lose_and_double_nothing(system: System) -> None:
    generator = Generator(system.settings, seed=1)
    system.stream()
    generator.produce(2_000)
    system.wait_until(lambda: system.read_up_to() > 0)
    generator.produce(2_000)
    system.kill()

    system.stream()
    generator.produce(1_000)
    generator.poison(POISON)
    system.wait_until(lambda: system.read_up_to() > 5_000)
    system.kill_broker()
    generator.produce(1_000)
    system.restart_broker()
    generator.flush()
    system.drain()
    assert system.stop() == 0

    assert generator.differences() == []
    assert contiguity_gaps(system.settings.root) == []
    assert accounting_errors(system.settings.root) == []
