import json
from pathlib import Path


class OffsetsLogError(RuntimeError):
    """A checkpoint does not hold the offsets of a micro-batch in the form Spark writes them."""


def end_offsets(checkpoint: Path, batch_id: int, topic: str) -> dict[int, int]:
    """First offset after a micro-batch for each partition, as planned in the checkpoint's offsets log.

    The ranges are taken from here and not from the records: transactions and compaction leave gaps between them.

    Raises:
        OffsetsLogError: the log has no such batch, or not the topic.
    """
    path = checkpoint / "offsets" / str(batch_id)
    try:
        offsets = json.loads(path.read_text(encoding="utf-8").splitlines()[-1])[topic]
        return {int(partition): int(offset) for partition, offset in offsets.items()}
    except (OSError, IndexError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise OffsetsLogError(f"{path}: no offsets of topic {topic}: {error!r}") from error
