"""How training tells what it is doing."""

from collections.abc import Callable

Progress = Callable[[str, int, int, dict[str, float]], None]
"""Called with the stage's name, the step (from 1), the number of steps, and the step's numbers, named
as the curves that they become."""


def silent(stage: str, step: int, steps: int, numbers: dict[str, float]) -> None:
    """Tell nobody."""
