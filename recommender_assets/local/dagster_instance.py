"""Dagster's own tables, made by one process before several open them: two that make them at once spoil them."""

import os
import subprocess
import sys
from pathlib import Path

_TIMEOUT_SECONDS = 120


class InstanceError(RuntimeError):
    """Dagster's instance cannot be opened; the message has the end of what Dagster says."""


def create_instance(home: Path) -> None:
    """Open the instance of a `DAGSTER_HOME` once, which makes its tables unless they are there.

    Raises:
        InstanceError: `dagster.yaml` is wrong, or its storage does not answer.
    """
    program = str(Path(sys.executable).with_name("dagster"))
    answer = subprocess.run(
        [program, "instance", "info"],
        env={**os.environ, "DAGSTER_HOME": str(home)},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_SECONDS,
        check=False,
    )
    if answer.returncode:
        tail = "\n".join(answer.stderr.splitlines()[-15:])
        raise InstanceError(f"the Dagster instance of {home} cannot be opened:\n{tail}")
