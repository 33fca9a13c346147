# %% [markdown]
# # A day in the life of an event
#
# From the bytes of a Kafka record to a changed list: decoding, the reasons for refusing it, the user's new vector, and
# what happens when the event comes twice, is taken back, or its user wants to be forgotten. No broker is needed:
# these are the functions that the service and Spark call with each record.

# %%
from pathlib import Path

import msgspec
import numpy as np

from recommender_assets.features.rating_sets import rating_matrix
from recommender_assets.ingestion.sources import films
from recommender_assets.settings import SvdSettings, load_settings
from recommender_assets.training.trainer import train
from recommender_serving.engine.events import Event, decode_event
from recommender_serving.engine.fold_in import fold_in_ranking, fold_in_rating
from recommender_serving.engine.live_events import LiveEvents, user_observations
from recommender_serving.engine.ranking import top_n

settings = load_settings(Path("config.yaml"))
small = SvdSettings(factors=32, epochs=20, ranking_iterations=6)  # quick to train, good enough to watch
settings = msgspec.structs.replace(settings, models=msgspec.structs.replace(settings.models, svd=small))
matrix = rating_matrix(None, settings.weights)
model = train("svd", matrix, settings).model
titles = dict(zip(films()["item_id"].to_pylist(), films()["title"].to_pylist(), strict=True))
NOON_MS = 1_704_110_400_000  # 2024-01-01T12:00:00Z, the time that the broker wrote into the record

# %% [markdown]
# ## Morning: it is judged
#
# The one decoder, strict: an event, or a reason with field, value and rule. What is refused is kept with its bytes.

# %%
for record in (
    b'{"user_id": 190, "item_id": 296, "rating": 5.0, "timestamp": "2024-01-01T12:00:00Z"}',
    b'{"user_id": 190, "item_id": 296, "rating": 11, "timestamp": "2024-01-01T12:00:00Z"}',
    b'{"user_id": 190, "item_id": 296, "rating": 5.0, "timestamp": "2024-01-01T12:00:00"}',
    b'{"user_id": 190, "item_id": 296, "rating": 5.0',
):
    print(decode_event(record, NOON_MS, settings.ratings))

# %% [markdown]
# ## Noon: it changes a list
#
# The service adds it to the user's events since the model's position, and solves the user's vector again from all of
# them: a least-squares problem with as many unknowns as factors, so the answer is exact and takes less than a
# millisecond.

# %%
live = LiveEvents(start={0: 0})


def send(offset: int, **fields: object) -> None:
    """Apply one record of partition 0, as the service does with every record it reads."""
    raw = msgspec.json.encode({"user_id": "newcomer", "timestamp": NOON_MS + offset, **fields})
    event = decode_event(raw, NOON_MS, settings.ratings)
    assert isinstance(event, Event), event
    live.apply(event, partition=0, offset=offset)


def show(occasion: str) -> list[str]:
    """Print and return the newcomer's list, with the stars that the rating head predicts."""
    observed = user_observations(model, live.of_user("newcomer"), "newcomer")
    vector = fold_in_ranking(model.ranking, observed.items, observed.strengths)
    stars, bias = fold_in_rating(model.rating, observed.items, observed.ratings)
    scores = model.popularity if not len(observed.items) else model.ranking.item_factors @ vector
    listed = top_n(scores, 4, observed.items)
    rating = model.rating
    predicted = rating.global_mean + bias + rating.item_bias[listed] + rating.item_factors[listed] @ stars
    names = [titles[model.item_ids[int(item)]] for item in listed]
    print(f"{occasion:32}", "; ".join(f"{name} ({value:.1f})" for name, value in zip(names, predicted, strict=True)))
    return names


first = show("nobody knows the user: popular")
send(0, item_id=1, rating=5.0)
send(1, item_id=588, rating=4.5)
animated = show("two animated films were liked")
assert animated != first

# %% [markdown]
# ## Afternoon: it comes again, and is taken back
#
# A producer that is not sure sends an event twice; the same event counts once. `remove` takes a user and an item back.

# %%
send(2, item_id=588, rating=4.5, event_id="same", timestamp=NOON_MS + 5)
send(3, item_id=588, rating=4.5, event_id="same", timestamp=NOON_MS + 5)
assert show("the second one arrives twice") == animated
send(4, item_id=588, event_type="remove", timestamp=NOON_MS + 10)
assert show("the second one is taken back") != animated

# %% [markdown]
# ## Evening: its user wants to be forgotten
#
# `forget` removes everything at lower offsets of the user's partition: here at once, in the tables and in the next
# model
# when they are made.

# %%
send(5, event_type="forget")
assert show("the user is forgotten") == first

# %% [markdown]
# ## Night: the next model has learned it
#
# A retrained model solves the same users from the same events with the same solver, so a folded-in user and a retrained
# one agree: here are all users of the model against their fold-in.

# %%
worst = 0.0
for user in range(0, model.n_users, 25):
    user_id = model.user_ids[user]
    observed = user_observations(model, live.of_user(user_id), user_id)
    folded_in = fold_in_ranking(model.ranking, observed.items, observed.strengths)
    worst = max(worst, float(np.abs(folded_in - model.ranking.user_factors[user]).max()))
print(f"largest difference of a factor: {worst:.1e}")
assert worst < 1e-4
