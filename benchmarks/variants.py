"""The presets with other epochs, or with the implicit term, as the benchmarks measure them beside the presets."""

import msgspec

from recommender_assets.settings import ModelsSettings, SvdSettings


def with_implicit_term(settings: SvdSettings, preset: str) -> SvdSettings:
    """The same model with the implicit term of SVD++ and the penalties that it wants.

    Chosen on a validation part of the training rows of ML-1M (`dense`) and of the embedded set (any other preset).
    """
    chosen = {"implicit_term": True, "initial_deviation": 0.02, "user_regularization": 8.0}
    if preset == "dense":
        return msgspec.structs.replace(settings, **chosen, regularization=0.05, implicit_regularization=0.4)
    return msgspec.structs.replace(
        settings,
        **chosen,
        regularization=0.12,
        implicit_regularization=1.0,
        epochs=25,
        learning_rate_decay=0.96,
    )


def with_few_epochs(models: ModelsSettings) -> ModelsSettings:
    """The same hyper-parameters with just the epochs and iterations that reach what peers reach.

    Chosen on a validation part of ML-1M's training rows.
    """
    return ModelsSettings(
        svd=msgspec.structs.replace(models.svd, epochs=6, learning_rate=0.03, learning_rate_decay=0.8),
        nmf=msgspec.structs.replace(models.nmf, iterations=6),
    )
