"""Times in answers."""

import datetime as dt

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def rfc3339(timestamp_us: int) -> str:
    """UTC microseconds since 1970 as text."""
    return (_EPOCH + dt.timedelta(microseconds=timestamp_us)).isoformat().replace("+00:00", "Z")
