"""Explanations of a list: what each item of the user's past adds to a score and to predicted stars."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender_serving.engine.explanation import Terms, explain_ranking, explain_rating
from recommender_serving.engine.item_space import ItemSpace
from recommender_serving.engine.live_events import UserObservations
from recommender_serving.request_answers import Contribution, Explanation, RatingExplanation, ScoreExplanation
from recommender_serving.user_state import UserState

_NAMED = 5  # items of the past that are listed one by one


class _Items(NamedTuple):
    """What the past adds, item by item as far as it is listed, and the rest."""

    items: list[Contribution]
    other_items: float


def explanations(  # noqa: PLR0917
    space: ItemSpace,
    state: UserState,
    observed: UserObservations,
    items: NDArray[np.int64],
    raw_scores: NDArray[np.float64],
    scores: NDArray[np.float64],
) -> list[Explanation]:
    """One explanation per listed item.

    Args:
        space: The items.
        state: The user.
        observed: What the user's vectors were solved from.
        items: (n,) the list.
        raw_scores: (n,) scores before discount and boosts.
        scores: (n,) scores after them.
    """
    model = space.model
    if state.source == "popular":
        ranking = Terms(raw_scores, np.zeros((len(items), len(observed.items))))
    else:
        ranking = explain_ranking(model.ranking, observed.items, observed.strengths, space.vectors(items))
    rating = explain_rating(model.rating, observed.items, observed.ratings, space.rating_vectors(items))
    biases = space.rating_bias(items).tolist()
    return [
        Explanation(
            score=_of_score(space, observed, ranking, row, float(scores[row] - raw_scores[row])),
            predicted_rating=_of_rating(space, observed, rating, row, biases[row], state.bias),
        )
        for row in range(len(items))
    ]


def _of_score(space: ItemSpace, observed: UserObservations, terms: Terms, row: int, rules: float) -> ScoreExplanation:
    past = _past(space, observed, terms.contributions[row])
    return ScoreExplanation(base=float(terms.prior[row]), items=past.items, other_items=past.other_items, rules=rules)


def _of_rating(  # noqa: PLR0917
    space: ItemSpace,
    observed: UserObservations,
    terms: Terms,
    row: int,
    item_bias: float,
    user_bias: float,
) -> RatingExplanation:
    average, base = space.model.rating.global_mean, float(terms.prior[row])
    past = _past(space, observed, terms.contributions[row])
    predicted = average + item_bias + user_bias + base + float(terms.contributions[row].sum())
    scale = space.model.manifest.scale
    clipped = min(max(predicted, scale.min), scale.max) - predicted
    return RatingExplanation(
        average=average,
        item=item_bias,
        user=user_bias,
        base=base,
        items=past.items,
        other_items=past.other_items,
        clipped=clipped,
    )


def _past(space: ItemSpace, observed: UserObservations, contributions: NDArray[np.float64]) -> _Items:
    order = np.argsort(-np.abs(contributions), kind="stable")
    named = [
        Contribution(item_id=space.item_id(item), title=space.title(item), contribution=float(contributions[place]))
        for place, item in zip(order[:_NAMED].tolist(), observed.items[order[:_NAMED]].tolist(), strict=True)
    ]
    return _Items(named, float(contributions[order[_NAMED:]].sum()))
