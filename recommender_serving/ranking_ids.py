"""Names for served lists, so that an event can say which list led to it."""

from collections.abc import Iterator
from itertools import count
from secrets import token_hex


def new_ranking_ids() -> Iterator[bytes]:
    """Ids that no other process makes: 16 random hexadecimal digits and a count of 12."""
    process = token_hex(8).encode()
    return (b"%b%012x" % (process, number) for number in count())
