"""Facts about data and models that a machine can check: declared once, told by Dagster and by `recommender check`."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from deltalake.exceptions import TableNotFoundError

from recommender_assets.settings import Settings

Number = bool | int | float | str


class Outcome(NamedTuple):
    """What a check found: whether the fact holds, in words if there is something to say, and the figures behind it."""

    passed: bool
    reason: str = ""
    numbers: Mapping[str, Number] = {}


Judge = Callable[[Settings], Outcome]


@dataclass(frozen=True)
class Fact:
    """A checked fact.

    Attributes:
        asset: what it is about.
        name: the fact, as a sentence: `factors_are_finite`.
        passed: whether it holds.
        blocking: whether what is downstream must not go on without it.
        numbers: figures by name.
        reason: why it does not hold, or a remark; may be empty.
    """

    asset: str
    name: str
    passed: bool
    blocking: bool
    numbers: Mapping[str, Number] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True)
class Check:
    """A declaration: which fact about which asset, and how it is judged.

    Attributes:
        asset, name, blocking: as in the `Fact` that comes of it.
        description: what holds when it passes.
        judge: looks at what is stored as the settings say.
    """

    asset: str
    name: str
    blocking: bool
    description: str
    judge: Judge

    def __call__(self, settings: Settings) -> Fact:
        """Look now. What does not exist yet is a fact that does not hold; the reason names the file or table."""
        try:
            outcome = self.judge(settings)
        except (FileNotFoundError, TableNotFoundError) as missing:
            outcome = Outcome(passed=False, reason=str(missing))
        return Fact(
            asset=self.asset,
            name=self.name,
            passed=outcome.passed,
            blocking=self.blocking,
            numbers=outcome.numbers,
            reason=outcome.reason,
        )


def check(asset: str, *, blocking: bool = False) -> Callable[[Judge], Check]:
    """Declare a function as a check of an asset: its name is the fact, its docstring the description."""

    def declared(judge: Judge) -> Check:
        return Check(asset, judge.__name__, blocking, inspect.getdoc(judge) or "", judge)

    return declared


def nothing_found(findings: list[str], shown: int = 20) -> Outcome:
    """Passes without findings; else the first of them are the reason."""
    return Outcome(not findings, "; ".join(findings[:shown]), {"findings": len(findings)})
