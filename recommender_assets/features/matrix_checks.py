"""Facts about `user_item_matrix`."""

import numpy as np

from recommender_assets.fact import Outcome, check
from recommender_assets.features.matrix import load_matrix, matrix_directory
from recommender_assets.settings import Settings

MATRIX = "user_item_matrix"


@check(MATRIX, blocking=True)
def matrix_has_no_empty_rows(settings: Settings) -> Outcome:
    """Every user of the matrix has an event: nobody who was forgotten is left as an empty row. Items may have none."""
    matrix = load_matrix(matrix_directory(settings.root))
    users = int((np.diff(matrix.history.indptr) == 0).sum())
    cold_items = matrix.n_items - len(np.unique(matrix.history.item))
    reason = f"{users} users without any event" if users else ""
    return Outcome(not reason, reason, {"empty_users": users, "cold_items": cold_items})


@check(MATRIX)
def density_is_plausible(settings: Settings) -> Outcome:
    """At least a share `checks.density` of all (user, item) pairs is known; far less hints at ids that never repeat."""
    matrix = load_matrix(matrix_directory(settings.root))
    pairs, least = len(matrix.observations.item), settings.checks.density
    density = pairs / max(1, matrix.n_users * matrix.n_items)
    reason = "" if density >= least else f"density {density:.2g} of {pairs} pairs, at least {least:g} is usual"
    return Outcome(not reason, reason, {"density": density, "pairs_per_user": pairs / max(1, matrix.n_users)})


MATRIX_CHECKS = (matrix_has_no_empty_rows, density_is_plausible)
