# %% [markdown]
# # svd or nmf?
#
# Both algorithms on the same hold-out, which their item factors never saw: figures with their intervals, the paired
# difference, and what the two would show to the same user.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from recommender_assets.evaluation.evaluation import evaluate
from recommender_assets.features.rating_sets import rating_matrix
from recommender_assets.ingestion.sources import films
from recommender_assets.settings import load_settings
from recommender_assets.training.hold_out import hold_out_mask
from recommender_assets.training.trainer import train
from recommender_serving.engine.ranking import top_n

settings = load_settings(Path("config.yaml"))
matrix = rating_matrix(None, settings.weights)
models = {"svd": train("svd", matrix, settings), "nmf": train("nmf", matrix, settings)}

# %% [markdown]
# How the loss fell during training.

# %%
figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
for algorithm, trained in models.items():
    curve = trained.curves["rating_rmse"]
    axes.plot(np.linspace(0, 1, len(curve)), curve, label=algorithm)
axes.set(xlabel="share of the training", ylabel="RMSE on the training rows")
axes.legend()
plt.show()

# %% [markdown]
# ## Figures on the hold-out
#
# Users are solved again from the rows outside the hold-out, so nothing leaks. Intervals (95 %) resample users.

# %%
held_out = hold_out_mask(matrix, settings.training.hold_out_share)
evaluations = evaluate({name: trained.model for name, trained in models.items()}, matrix, held_out)
chosen = ("rmse", "mae", "rerank_ndcg_at_10", "catalogue_ndcg_at_10", "catalogue_coverage_at_20")
intervals = {name: evaluation.intervals() for name, evaluation in evaluations.items()}
for metric in (metric for metric in chosen if metric in evaluations["svd"].metrics):
    floors = evaluations["svd"].floors.values.get(metric, {})
    print(f"\n{metric}   floors:", "  ".join(f"{floor} {value:.3f}" for floor, value in floors.items()))
    for name, evaluation in evaluations.items():
        found = intervals[name].get(metric)
        print(f"  {name}  {evaluation.metrics[metric]:.4f}", f"[{found.low:.4f}, {found.high:.4f}]" if found else "")

# %% [markdown]
# The difference of the two on the same users says more than two intervals that overlap. This is what promotion looks
# at.

# %%
for metric, found in evaluations["svd"].difference_to(evaluations["nmf"]).items():
    if metric in chosen:
        print(f"svd - nmf  {metric:24} {found.value:+.4f} [{found.low:+.4f}, {found.high:+.4f}]")

# %% [markdown]
# ## The same user, two lists

# %%
titles = dict(zip(films()["item_id"].to_pylist(), films()["title"].to_pylist(), strict=True))
user = int(np.argsort(np.diff(matrix.observations.indptr))[matrix.n_users // 2])
seen = matrix.observations.item[matrix.observations.indptr[user] : matrix.observations.indptr[user + 1]]
print(f"user {matrix.user_ids[user]} with {len(seen)} ratings")
for name, trained in models.items():
    head = trained.model.ranking
    listed = top_n(head.item_factors @ head.user_factors[user], 5, seen)
    print(f"  {name}:", "; ".join(titles[matrix.item_ids[int(item)]] for item in listed))
