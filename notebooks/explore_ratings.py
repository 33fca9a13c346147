# %% [markdown]
# # What is in the ratings, and what is easy to predict
#
# The 100,004 MovieLens ratings that ship with the project: who rates, what is rated, and how good a list or a star
# is that knows nothing about the user. A model has to beat those floors.

# %%
import matplotlib.pyplot as plt
import numpy as np

from recommender_assets.evaluation.evaluation import floor_figures
from recommender_assets.evaluation.protocols import PROTOCOLS
from recommender_assets.features.rating_sets import rating_matrix
from recommender_serving.engine.config import EventWeights

matrix = rating_matrix(None, EventWeights())
observations = matrix.observations
print(f"{matrix.n_users:,} users, {matrix.n_items:,} films, {len(observations.item):,} ratings")
print(f"{len(observations.item) / matrix.n_users / matrix.n_items:.2%} of all pairs are known")

# %% [markdown]
# Half of the films have only a few ratings, and the most popular tenth has most of them: a list of popular films is
# hard to beat, and covers next to nothing.

# %%
ratings_of_film = np.sort(np.bincount(observations.item, minlength=matrix.n_items))[::-1]
ratings_of_user = np.diff(observations.indptr)
tenth = ratings_of_film[: matrix.n_items // 10].sum() / ratings_of_film.sum()
print(f"median film: {np.median(ratings_of_film):.0f} ratings, median user: {np.median(ratings_of_user):.0f}")
print(f"the most popular tenth of the films has {tenth:.0%} of the ratings")

figure, (stars, tail) = plt.subplots(1, 2, figsize=(10, 3.5), layout="constrained")
values, counts = np.unique(observations.rating, return_counts=True)
stars.bar(values, counts, width=0.4)
stars.set(xlabel="stars", ylabel="ratings")
tail.loglog(np.arange(1, matrix.n_items + 1), ratings_of_film)
tail.set(xlabel="film, by its ratings", ylabel="ratings of the film")
plt.show()

# %% [markdown]
# ## Floors
#
# Each protocol hides a part of the ratings. `random`, `popularity` and `item_mean` guess it without looking at the
# user.

# %%
for name in ("rating", "rerank", "catalogue"):
    protocol = PROTOCOLS[name]
    split = protocol.divide(matrix, seed=0)
    print(f"\n{name}: {protocol.split}")
    for metric, floors in floor_figures(split, protocol.measures).values.items():
        print(f"  {metric:24}", "  ".join(f"{floor} {value:.3f}" for floor, value in floors.items()))
