"""The categories of the items as columns."""

import numpy as np
from numpy.typing import NDArray

from recommender_serving.engine.factor_model import Catalogue

_MOST_CATEGORIES = 20


def most_frequent_categories(catalogue: Catalogue) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Names of at most twenty categories, the most frequent first, and (n_items, n_categories) 1 or 0."""
    of_item = [text.split("|") if text else [] for text in catalogue.categories[:]]
    flat = np.array([name for names in of_item for name in names], dtype=object)
    item = np.repeat(np.arange(len(of_item)), [len(names) for names in of_item])
    names, code, count = np.unique(flat.astype(str), return_inverse=True, return_counts=True)
    kept = np.argsort(-count, kind="stable")[:_MOST_CATEGORIES]
    is_of_category = np.zeros((len(of_item), len(names)))
    is_of_category[item, code] = 1.0
    return tuple(str(names[i]) for i in kept), is_of_category[:, kept]
