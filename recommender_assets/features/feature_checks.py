"""Facts about `reduced_features`. Features reach no user by themselves, so none of them blocks."""

import numpy as np

from recommender_assets.fact import Outcome, check
from recommender_assets.features.matrix import load_matrix, matrix_directory
from recommender_assets.features.reduction import features_directory, load_features, load_figures
from recommender_assets.settings import Settings

FEATURES = "reduced_features"


@check(FEATURES)
def reduction_explains_the_hold_out(settings: Settings) -> Outcome:
    """Rows that the components were not made from are rebuilt with an R2 of at least `checks.explained_r2`."""
    figures, least = load_figures(features_directory(settings.root)), settings.checks.explained_r2
    r2 = {name: table.held_out_r2 for name, table in figures.items()}
    low = [
        f"{name} features: R2 {value}, at least {least:g} is usual"
        for name, value in r2.items()
        if _below(value, least)
    ]
    return Outcome(not low, "; ".join(low), {f"{name}_r2": value for name, value in r2.items() if value is not None})


@check(FEATURES)
def features_are_finite(settings: Settings) -> Outcome:
    """Both tables have one row for each user or item of the matrix, and no number in them is infinite or NaN."""
    matrix = load_matrix(matrix_directory(settings.root))
    problems = []
    for name, rows in (("user", matrix.n_users), ("item", matrix.n_items)):
        values = load_features(features_directory(settings.root), name)
        if len(values) != rows:
            problems.append(f"{len(values)} rows of {name} features, the matrix has {rows}")
        if not_finite := int((~np.isfinite(values)).sum()):
            problems.append(f"{not_finite} {name} features are not finite")
    return Outcome(not problems, "; ".join(problems), {"users": matrix.n_users, "items": matrix.n_items})


FEATURES_CHECKS = (reduction_explains_the_hold_out, features_are_finite)


def _below(value: float | None, least: float) -> bool:
    return value is not None and value < least
