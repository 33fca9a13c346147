"""Facts about `interactions`.

Those that block prove that nothing was lost or counted twice. The others say whether the events are as they used to be:
a person should look, but nothing has to stop.
"""

import time

from recommender_assets.fact import Outcome, check, nothing_found
from recommender_assets.ingestion.accounting import accounting_differences
from recommender_assets.ingestion.deduplication import recent_duplicates
from recommender_assets.ingestion.event_volume import event_volume
from recommender_assets.ingestion.ledger import accounting_errors, contiguity_gaps, ledger_rows
from recommender_assets.ingestion.recent_events import (
    ingested_after,
    population_stability_index,
    rating_counts,
    recent_since,
    unknown_items,
)
from recommender_assets.settings import Settings

LATEST_ROWS = 1_000_000
TABLE = "interactions"


@check(TABLE, blocking=True)
def offsets_are_contiguous(settings: Settings) -> Outcome:
    """The ranges in the ingestion ledger follow each other without gap or overlap, per topic and partition."""
    return nothing_found(contiguity_gaps(settings.root))


@check(TABLE, blocking=True)
def every_record_is_accounted_for(settings: Settings) -> Outcome:
    """`interactions` and `rejected_events` hold as many rows as the ingestion ledger counts, range by range.

    Compared by the statistics of the tables' files; only when these differ are rows read, to say which.
    """
    differ = accounting_differences(settings.root)
    return nothing_found(accounting_errors(settings.root) if differ else [])


@check(TABLE, blocking=True)
def no_duplicate_events(settings: Settings) -> Outcome:
    """No event among the latest million rows of `interactions` has a second row anywhere in the table."""
    return nothing_found(recent_duplicates(settings.root, LATEST_ROWS))


@check(TABLE)
def interactions_are_fresh(settings: Settings) -> Outcome:
    """The latest accepted event was ingested within `checks.fresh_seconds`."""
    ledger = ledger_rows(settings.root, settings.streaming.topic)
    times = [row["committed_at"] for row in ledger.to_pylist() if row["accepted"]]
    if not times:
        return Outcome(False, "no event was ingested yet")
    age, limit = time.time() - max(times).timestamp(), settings.checks.fresh_seconds
    reason = "" if age <= limit else f"the latest event was ingested {age:.0f} s ago, {limit:g} s are usual"
    return Outcome(not reason, reason, {"age_seconds": age})


@check(TABLE)
def volume_is_usual(settings: Settings) -> Outcome:
    """Events of the latest 24 hours are within a factor `checks.usual_factor` of the median of the days before."""
    latest, usual = event_volume(ledger_rows(settings.root, settings.streaming.topic), time.time())
    if usual is None:
        return Outcome(True, "too few days to tell", {"latest_day": latest})
    factor = settings.checks.usual_factor
    is_usual = usual / factor <= latest <= usual * factor
    reason = "" if is_usual else f"{latest} events in 24 hours, {usual:g} are usual"
    return Outcome(is_usual, reason, {"latest_day": latest, "usual_day": usual})


@check(TABLE)
def rating_distribution_is_stable(settings: Settings) -> Outcome:
    """The latest `checks.recent_events` ratings are distributed as those before them: PSI up to `checks.rating_drift`.

    Those before are older events and the imported history.
    """
    root, scale, wanted = settings.root, settings.ratings, settings.checks.recent_events
    since = ingested_after(recent_since(root, settings.streaming.topic, wanted))
    recent = rating_counts(root, "interactions", scale, since)
    former = rating_counts(root, "interactions", scale, ~since) + rating_counts(root, "interaction_history", scale)
    fewest = int(min(recent.sum(), former.sum()))
    if fewest < wanted:
        return Outcome(True, f"{fewest} of {wanted} ratings are too few to tell")
    drift, limit = population_stability_index(former, recent), settings.checks.rating_drift
    reason = "" if drift <= limit else f"PSI {drift:.3f}, up to {limit:g} is usual"
    return Outcome(not reason, reason, {"psi": drift, "recent_ratings": int(recent.sum())})


@check(TABLE)
def unknown_item_share_is_low(settings: Settings) -> Outcome:
    """At most a share `checks.unknown_item_share` of the latest events name an item that the catalogue lacks."""
    since = recent_since(settings.root, settings.streaming.topic, settings.checks.recent_events)
    unknown, events = unknown_items(settings.root, since)
    share, limit = unknown / max(events, 1), settings.checks.unknown_item_share
    reason = (
        "" if share <= limit else f"{share:.1%} of {events} events name an unknown item, up to {limit:.1%} is usual"
    )
    return Outcome(not reason, reason, {"unknown_share": share, "events": events})


INTERACTIONS_CHECKS = (
    offsets_are_contiguous,
    every_record_is_accounted_for,
    no_duplicate_events,
    interactions_are_fresh,
    volume_is_usual,
    rating_distribution_is_stable,
    unknown_item_share_is_low,
)
