"""`recommender check`: looks at every fact and shows what was found."""

from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.table import Table

from recommender_assets.fact import Check, Fact, Number
from recommender_assets.settings import Settings

_SHOWN_CHARACTERS = 300


def look(checks: Iterable[Check], settings: Settings) -> Iterator[Fact]:
    """Every fact in turn; one that cannot be judged does not hold, and the others are looked at all the same."""
    for check in checks:
        try:
            yield check(settings)
        except Exception as error:  # noqa: BLE001 - a check meets whatever damage there is
            reason = f"{type(error).__name__}: {error}"
            yield Fact(asset=check.asset, name=check.name, passed=False, blocking=check.blocking, reason=reason)


def stops(facts: Iterable[Fact]) -> list[Fact]:
    """The facts that do not hold and that nothing may go on without."""
    return [fact for fact in facts if fact.blocking and not fact.passed]


def print_facts(facts: Iterable[Fact], console: Console) -> None:
    """One row per fact: the asset, the fact, whether it holds, and what there is to say about it."""
    table = Table("asset", "fact", "result")
    table.add_column("remark", overflow="fold")
    for fact in facts:
        result = "[green]holds" if fact.passed else "[red]FAILS" if fact.blocking else "[yellow]warns"
        table.add_row(fact.asset, fact.name, result, _remark(fact))
    console.print(table)


def _remark(fact: Fact) -> str:
    text = fact.reason or ", ".join(f"{name} {_plain(value)}" for name, value in fact.numbers.items())
    shown = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]} ..."
    return shown.replace("[", r"\[")


def _plain(value: Number) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
