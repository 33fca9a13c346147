"""A program on a Spark of several processes: a driver and two executors, as on a cluster."""

import os
import subprocess
import sys
from pathlib import Path

from recommender_assets.settings import Settings

PROJECT = Path(__file__).parents[1]


def run_on_cluster(program: str, settings: Settings, **overrides: str) -> list[str]:
    """Run Python source in a process of its own, with the same storage and broker; the words that it printed.

    Args:
        program: the source.
        settings: where it finds tables and topic.
        overrides: further settings by their environment variables, without the prefix.
    """
    shared = {
        "STORAGE__ROOT": settings.storage.root,
        "STREAMING__TOPIC": settings.streaming.topic,
        "STREAMING__KAFKA_BOOTSTRAP_SERVERS": settings.streaming.kafka_bootstrap_servers,
        "SPARK__MASTER": "local-cluster[2,1,1024]",
        "SPARK__JARS_DIRECTORY": settings.spark.jars_directory,
    }
    environ = {f"RECOMMENDER__{key}": value for key, value in {**shared, **overrides}.items()}
    environ |= {
        "RECOMMENDER_CONFIG": str(PROJECT / "config.yaml"),
        "PYTHONPATH": str(PROJECT),
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | environ,
        cwd=Path(settings.storage.root).parent,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    return done.stdout.split()
