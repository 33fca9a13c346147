"""What models learn from: the user-item matrix and the reduced feature tables."""

import dagster as dg
from msgspec import to_builtins

from recommender_assets.defs.interactions.assets import interaction_history, interactions, items
from recommender_assets.settings import Settings

TRAINING_POOL = "training"


@dg.asset(
    deps=[interactions, interaction_history, items],
    group_name="features",
    kinds={"python", "numpy", "deltalake"},
    pool=TRAINING_POOL,
    code_version="1",
)
def user_item_matrix(settings: dg.ResourceParam[Settings]) -> dg.MaterializeResult[None]:
    """Who did what with which item up to the ledger's position: the latest event of each kind, removals applied."""
    from recommender_assets.features.matrix import build_matrix, save_matrix
    from recommender_assets.presentation.plots import rating_distribution
    from recommender_assets.promotion.contenders import matrix_directory

    matrix = build_matrix(settings)
    save_matrix(matrix_directory(settings.root), matrix)
    pairs = len(matrix.observations.item)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": pairs,
            "dagster/uri": str(matrix_directory(settings.root)),
            "users": len(matrix.user_ids),
            "items": len(matrix.item_ids),
            "density": pairs / max(1, len(matrix.user_ids) * len(matrix.item_ids)),
            "position": dg.MetadataValue.json(to_builtins(matrix.position)),
            "rating_distribution": dg.MetadataValue.md(rating_distribution(matrix.observations.rating)),
        }
    )


@dg.asset(
    deps=[user_item_matrix],
    group_name="features",
    kinds={"python", "scikitlearn", "pandas"},
    pool=TRAINING_POOL,
    code_version="1",
)
def reduced_features(settings: dg.ResourceParam[Settings]) -> dg.MaterializeResult[None]:
    """User and item features: scaled to 0..1, selected by mutual information, reduced by two thirds or more."""
    from recommender_assets.features.matrix import load_matrix
    from recommender_assets.features.reduction import reduce_features
    from recommender_assets.promotion.contenders import matrix_directory

    reduced = reduce_features(load_matrix(matrix_directory(settings.root)), settings)
    return dg.MaterializeResult(metadata={"report": dg.MetadataValue.json(reduced.report)})
