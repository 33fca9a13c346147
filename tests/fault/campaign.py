"""The long form of the fault tests (`make fault-test`): faults at random points, and a comparison after each.

After every fault the system is restarted and drained, and the tables are compared with what the generator sent. The
last line is one JSON object.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
from confluent_kafka import KafkaException

from recommender_assets.ingestion.accounting import accounting_differences
from recommender_assets.ingestion.ledger import accounting_errors, contiguity_gaps
from tests.fault.generator import Difference, Generator
from tests.fault.system import System

TMPFS_SIZE = "512m"
POISON = 10_000
SHOWN = 50
TOO_OFTEN = 3
# Of ten points: the Spark process four times, the broker four times, a Dagster run and the disk once each.
ORDER = ("spark", "broker", "dagster", "disk", "spark", "broker", "spark", "broker", "spark", "broker")


class Campaign:
    """One system, one generator, and a fault of each kind."""

    def __init__(self, system: System, seed: int, *, has_small_disk: bool) -> None:
        self.system = system
        self.generator = Generator(system.settings, seed)
        self.random = np.random.default_rng(seed)
        self.has_small_disk = has_small_disk

    def point(self, kind: str) -> list[Difference]:
        """Break one thing while events come in, mend it, drain, and say what is wrong afterwards."""
        try:
            self._break(kind)
        except (AssertionError, KafkaException, RuntimeError) as error:  # RuntimeError: no broker answers in time
            if self.system.is_running:
                self.system.kill()
            self.system.forget_ended()
            return [Difference("stuck", str(error))]
        root = self.system.settings.root
        unproven = contiguity_gaps(root) + accounting_errors(root) + accounting_differences(root)
        return self.generator.differences() + [Difference("unproven", text) for text in unproven]

    def _break(self, kind: str) -> None:
        if kind != "dagster" and not self.system.is_running:
            self.system.stream()
        if kind != "dagster":
            self.system.wait_until(
                lambda: self.system.log.exists() and b"streaming topic" in self.system.log.read_bytes()
            )
        self._produce()
        self._wait(2.0)
        faults: dict[str, Callable[[], None]] = {
            "spark": self._kill_spark,
            "broker": self._kill_broker,
            "dagster": self._kill_dagster_run,
            "disk": self._fill_disk,
        }
        faults[kind]()
        self._produce()
        self.generator.flush()
        if not self.system.is_running:
            self.system.stream()
        self.system.drain()

    def _produce(self) -> None:
        self.generator.produce(int(self.random.integers(200, 3_000)))

    def _wait(self, at_most_s: float) -> None:
        time.sleep(self.random.uniform(0, at_most_s))

    def _kill_spark(self) -> None:
        self.system.kill()

    def _kill_broker(self) -> None:
        self.system.kill_broker()
        self._produce()
        self._wait(3.0)
        self.system.restart_broker()

    def _kill_dagster_run(self) -> None:
        if self.system.is_running:
            assert self.system.stop() == 0, "stream did not end well"
        self._produce()
        self.generator.flush()
        before = self.system.read_up_to()
        self.system.run_asset()
        # Half of the points hit the start or the reading, half the time after the first commit.
        if self.random.random() < 0.5:
            self._wait(20.0)
        else:
            self.system.wait_until(lambda: not self.system.is_running or self.system.read_up_to() > before)
        if self.system.is_running:
            self.system.kill()
        else:
            self.system.forget_ended()

    def _fill_disk(self) -> None:
        ballast = self.system.settings.root / "ballast"
        with ballast.open("wb") as file:
            try:
                while True:
                    file.write(b"x" * 65_536)
                    file.flush()
            except OSError:
                pass
        self._produce()
        self.generator.flush()
        self._wait(8.0)
        ballast.unlink()
        if not self.system.is_running:
            self.system.forget_ended()


def small_disk(folder: Path) -> bool:
    """Mount a small file system; False where that is not allowed."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={TMPFS_SIZE}", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        click.echo(f"no full disk among the faults: {done.stderr.strip()}")
    return done.returncode == 0


@click.command()
@click.option("--points", type=click.IntRange(min=1), default=50, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--minutes", type=click.FloatRange(min=0), help="Begin no point after so many minutes.")
def main(points: int, seed: int, minutes: float | None) -> None:
    """Break Spark, the broker, Dagster runs and the disk at random points, and compare after each."""
    started = time.monotonic()
    done: Counter[str] = Counter()
    wrong: list[Difference] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        has_small_disk = small_disk(folder / "disk")
        system = System(folder, root=folder / "disk" / "data")
        try:
            campaign = Campaign(system, seed, has_small_disk=has_small_disk)
            campaign.generator.poison(POISON)
            kinds = [kind for kind in ORDER if has_small_disk or kind != "disk"]
            for number in range(points):
                if minutes is not None and time.monotonic() - started > 60 * minutes:
                    break
                kind = kinds[number % len(kinds)]
                found = campaign.point(kind)
                done[kind] += 1
                wrong += [Difference(which, f"point {number + 1}, {kind}: {text}") for which, text in found]
                state = "; ".join(text for _, text in found[:5]) or "all as they should be"
                records = len(campaign.generator.sent)
                seconds = time.monotonic() - started
                click.echo(f"{seconds:6.0f} s  {number + 1:3}/{points} {kind:8} {records:,} records, {state}")
                if sum(which == "stuck" for which, _ in wrong) >= TOO_OFTEN:
                    click.echo("stopped: the system did not come back too often")
                    break
        finally:
            system.close()
            if has_small_disk:
                subprocess.run(["umount", str(folder / "disk")], check=True)
    of_kind = Counter(which for which, _ in wrong)
    result = {
        "seed": seed,
        "points": sum(done.values()),
        "kinds": dict(done),
        "records": len(campaign.generator.sent),
        "fates": dict(Counter(record.fate for record in campaign.generator.sent.values())),
        "lost": of_kind.pop("lost", 0),
        "doubled": of_kind.pop("doubled", 0),
        "wrong_reason": of_kind.pop("wrong_reason", 0),
        "other_differences": dict(of_kind),
        "seconds": round(time.monotonic() - started),
    }
    click.echo("\n".join(text for _, text in wrong[:SHOWN]), err=True)
    click.echo(json.dumps(result))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
