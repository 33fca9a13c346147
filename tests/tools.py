"""Programs that some tests need: skipped where one is missing, never in continuous integration."""

import os
import shutil
import sys
from pathlib import Path

import pytest


def program(name: str, comes_with: str) -> str:
    """Path of a program beside this interpreter or on the PATH; else the test is skipped, in CI it fails.

    Args:
        name: the program.
        comes_with: how to get it, for the message.
    """
    found = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        missing(f"{name} is missing; it comes with {comes_with}")
    return str(found)


def missing(reason: str) -> None:
    """Skip the test; in continuous integration fail it, so that nothing is left out there."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
