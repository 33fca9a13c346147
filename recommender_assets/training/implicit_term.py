"""The implicit term of SVD++ for all users at once: what they have observed, whatever they thought of it."""

import numpy as np
from numpy.typing import NDArray

from recommender_assets.training.compilation import kernel, writable
from recommender_serving.engine.history import Observations


def implicit_terms(implicit_factors: NDArray[np.float32], observations: Observations) -> NDArray[np.float64]:
    """(n_users, k) |N|^-1/2 sum of `implicit_factors` (n_items, k) over each user's items N; zeros without items."""
    terms = np.zeros((observations.n_users, implicit_factors.shape[1]))
    _add_terms(writable(observations.indptr), writable(observations.item), writable(implicit_factors), terms)
    return terms


@kernel
def _add_terms(
    indptr: NDArray[np.int64],
    item: NDArray[np.int32],
    implicit_factors: NDArray[np.float32],
    terms: NDArray[np.float64],
) -> None:
    for user in range(terms.shape[0]):
        start, end = indptr[user], indptr[user + 1]
        if start == end:
            continue
        term = terms[user]
        for j in range(start, end):
            y = implicit_factors[item[j]]
            for f in range(term.size):
                term[f] += y[f]
        term /= np.sqrt(end - start)
