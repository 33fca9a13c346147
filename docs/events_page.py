"""docs/events.md: the record of a Kafka topic, from the decoder's own JSON Schema and rules."""

import json
from pathlib import Path

from docs.json_schema_tables import fields_table
from recommender_assets.settings import load_settings
from recommender_serving.engine.event_errors import RULES
from recommender_serving.engine.events import Rejection, decode_event, event_schema

_CONFIG = Path(__file__).parents[1] / "config.yaml"
_INTRODUCTION = """\
# Events

Written by `make docs` from the decoder that both halves share. An event is one JSON object: a record of the topic
`{topic}` with the user's id as its key, or a part of a body of `POST /events`. This is enough:

```json
{{"user_id": 123, "item_id": 456, "rating": 4.5, "timestamp": "2024-01-01T12:00:00Z"}}
```

Unknown fields are ignored. A record that breaks a rule goes to the table `rejected_events` with its bytes, one of the
reasons below, and a sentence with field, value and rule; the stream goes on.
"""
_RECORDED_AT_MS = 1_704_110_400_000  # 2024-01-01T12:00:00Z
_REFUSED = (
    "",
    '{"user_id": 123, "item_id": "' + "4" * 65_536 + '"}',
    '{"user_id": 123,',
    '{"user_id": [123], "item_id": 456, "rating": 4.5, "timestamp": "2024-01-01T12:00:00Z"}',
    '{"user_id": 123, "rating": 4.5, "timestamp": "2024-01-01T12:00:00Z"}',
    '{"user_id": "", "item_id": 456, "rating": 4.5, "timestamp": "2024-01-01T12:00:00Z"}',
    '{"user_id": 123, "item_id": 456, "rating": 4.5, "timestamp": 1704110400, "event_id": ""}',
    '{"user_id": 123, "item_id": 456, "rating": 4.5, "timestamp": 1704110400, "ranking_id": ""}',
    '{"user_id": 123, "item_id": 456, "event_type": "like", "timestamp": "2024-01-01T12:00:00Z"}',
    '{"user_id": 123, "item_id": 456, "timestamp": "2024-01-01T12:00:00Z"}',
    '{"user_id": 123, "item_id": 456, "rating": 11, "timestamp": "2024-01-01T12:00:00Z"}',
    '{"user_id": 123, "item_id": 456, "rating": 4.5, "timestamp": "yesterday"}',
    '{"user_id": 123, "item_id": 456, "rating": 4.5, "timestamp": "2024-01-01T12:00:00"}',
    '{"user_id": 123, "item_id": 456, "rating": 4.5, "timestamp": "2024-01-03T12:00:00Z"}',
)
_MEANING = """\
## What an event means

- Of several events of a user, an item and a type the one with the latest (timestamp, event_id) counts, in whatever
  order they arrive. The same `event_id` and `timestamp` is the same event: the first offset counts, later ones are
  duplicates.
- `remove` takes a user and an item back; `forget` removes what lies at lower offsets of the user's partition.
- How strongly an event counts for the order of lists is set in `events.weights`: {weights}.
- A timestamp may lie at most 24 hours after the Kafka record's own time, which the broker sets (`LogAppendTime`).
"""


def refusals() -> list[Rejection]:
    """One refused record for each reason, judged by the decoder as of 2024-01-01T12:00:00Z."""
    scale = load_settings(_CONFIG, {}).ratings
    judged = [decode_event(record.encode(), _RECORDED_AT_MS, scale) for record in _REFUSED]
    return [found for found in judged if isinstance(found, Rejection)]


def page() -> str:
    """The whole page."""
    settings = load_settings(_CONFIG, {})
    schema = event_schema(settings.ratings)
    rules = "\n".join(f"| `{field}` | {rule} |" for field, rule in RULES.items())
    reasons = "\n".join(f"| `{found.reason}` | {_shortened(found.detail)} |" for found in refusals())
    weights = ", ".join(f"`{name}` {getattr(settings.weights, name):g}" for name in settings.weights.__struct_fields__)
    return "\n".join(
        [
            _INTRODUCTION.format(topic=settings.streaming.topic),
            f"## Fields\n\n{fields_table(schema)}\n\n| field | what it must be |\n|---|---|\n{rules}\n",
            _MEANING.format(weights=weights),
            f"## Reasons for rejection\n\n| reason | for example |\n|---|---|\n{reasons}\n"
            "| `duplicate` | the same `event_id` and `timestamp` at an earlier offset |\n",
            f"## JSON Schema\n\n```json\n{json.dumps(schema, indent=2)}\n```\n",
        ]
    )


def _shortened(text: str) -> str:
    text = text.replace("|", "\\|")
    return text if len(text) <= 140 else f"{text[:140]} ..."
