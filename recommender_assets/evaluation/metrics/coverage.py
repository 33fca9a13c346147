"""How much of the catalogue and how many of the users the lists reach (Ge, Delgado-Battenfeld, Jannach 2010)."""

import numpy as np
from numpy.typing import NDArray


def catalogue_coverage(lists: NDArray[np.integer], n_items: int) -> float:
    """Distinct items in all lists / items of the catalogue.

    Args:
        lists: (n_users, n) item indices, -1 where a list has ended.
        n_items: size of the catalogue, greater than 0.
    """
    listed = np.zeros(n_items, dtype=bool)
    listed[lists[lists >= 0]] = True
    return float(listed.mean())


def user_coverage(lists: NDArray[np.integer], is_personal: NDArray[np.bool_]) -> NDArray[np.float64]:
    """1 for a user whose list is full and comes from their own history, else 0.

    Args:
        lists: (n_users, n) item indices, -1 where a list has ended.
        is_personal: (n_users,) whether the list was made from the user's own history.

    Returns:
        (n_users,).
    """
    return (is_personal & (lists >= 0).all(axis=1)).astype(np.float64)
