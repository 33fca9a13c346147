"""Which months the history has: a small file that `recommender init-tables` writes, and Dagster's partitions follow."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from recommender_assets.settings import HistorySettings, Settings
from recommender_serving.engine.atomic_files import replace_file


class HistoryRangeError(RuntimeError):
    """The months of the history are not known."""


class MonthRange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """First and last month (`YYYY-MM`, both included)."""

    first_month: str
    last_month: str


def range_file(root: Path) -> Path:
    """Where the range is kept."""
    return root / "history_range.json"


def history_with_range(settings: Settings) -> HistorySettings:
    """The settings of the history with the months of the range file, or, before there is one, as configured.

    Raises:
        HistoryRangeError: the file is damaged, or there is none and the configuration names no months either.
    """
    path = range_file(settings.root)
    try:
        months = msgspec.json.decode(path.read_bytes(), type=MonthRange)
        return msgspec.structs.replace(settings.history, **msgspec.structs.asdict(months))
    except FileNotFoundError:
        if not settings.history.first_month:
            raise HistoryRangeError(
                f"history.first_month is empty and {path} is not there: run `recommender init-tables`, which finds the "
                "months in the source"
            ) from None
        return settings.history
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
        raise HistoryRangeError(f"{path}: {error}; `recommender init-tables` writes it anew") from error


def write_history_range(settings: Settings, months_of_source: Callable[[], MonthRange]) -> MonthRange:
    """Write the range file: the configured months, or those of the source.

    Args:
        settings: of the history.
        months_of_source: called only when no months are configured.
    """
    history = settings.history
    months = (
        MonthRange(first_month=history.first_month, last_month=history.last_month)
        if history.first_month
        else months_of_source()
    )
    replace_file(range_file(settings.root), msgspec.json.format(msgspec.json.encode(months), indent=2) + b"\n")
    return months
