"""What models learn from: the user-item matrix and the reduced feature tables."""

import dagster as dg
from msgspec import to_builtins

from recommender_assets.defs.conditions import FOLLOWS_ITS_DATA
from recommender_assets.defs.interactions.assets import interaction_history, interactions, items
from recommender_assets.defs.owners import OWNERS
from recommender_assets.settings import Settings

TRAINING_POOL = "training"


@dg.asset(
    deps=[interactions, interaction_history, items],
    group_name="features",
    owners=OWNERS,
    kinds={"python", "numpy", "deltalake"},
    pool=TRAINING_POOL,
    code_version="1",
)
def user_item_matrix(settings: dg.ResourceParam[Settings]) -> dg.MaterializeResult[None]:
    """Who did what with which item up to the ledger's position: the latest event of each kind, removals applied."""
    from recommender_assets.features.matrix import build_matrix, matrix_directory, save_matrix
    from recommender_assets.presentation.plots import rating_distribution

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
    owners=OWNERS,
    kinds={"python", "scikitlearn", "pandas"},
    automation_condition=FOLLOWS_ITS_DATA,
    pool=TRAINING_POOL,
    code_version="1",
)
def reduced_features(settings: dg.ResourceParam[Settings]) -> dg.MaterializeResult[None]:
    """User and item features: scaled to 0..1, selected by mutual information with ratings, reduced by two thirds."""
    from recommender_assets.features.matrix import load_matrix, matrix_directory
    from recommender_assets.features.rating_prediction import rating_r2
    from recommender_assets.features.reduction import features_directory, reduce_features, save_features
    from recommender_assets.presentation.plots import explained_variance
    from recommender_assets.presentation.tables import key_value_table
    from recommender_assets.training.hold_out import hold_out_mask

    matrix = load_matrix(matrix_directory(settings.root))
    held_out = hold_out_mask(matrix, settings.training.hold_out_share)
    features = reduce_features(matrix, held_out, settings)
    directory = features_directory(settings.root)
    save_features(directory, matrix, features)
    tables = {"user": features.user, "item": features.item}
    numbers = {
        f"{name}_{figure}": getattr(table, figure)
        for name, table in tables.items()
        for figure in ("n_columns", "n_selected", "n_kept", "held_out_r2")
    }
    selected = {
        f"{name}_selected": dg.MetadataValue.md(key_value_table(table.mutual_information))
        for name, table in tables.items()
    }
    shares = {name: table.explained_shares for name, table in tables.items()}
    return dg.MaterializeResult(
        metadata={
            **numbers,
            **selected,
            "rating_r2": rating_r2(matrix, held_out, features.user.values, features.item.values),
            "dagster/uri": str(directory),
            "explained_variance": dg.MetadataValue.md(explained_variance(shares)),
        }
    )
