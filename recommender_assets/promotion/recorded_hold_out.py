"""What a model's manifest records of its hold-out."""

from recommender_serving.engine.factor_model import FactorModel


class UnknownHoldOutError(ValueError):
    """A model does not record its hold-out, so it may have trained on that of a contest."""


def hold_out_share_of(model: FactorModel) -> float:
    """Share of all pairs that a model's item factors never trained on, as its manifest records it.

    Raises:
        UnknownHoldOutError: the manifest does not say.
    """
    share = model.manifest.hyper_parameters.get("hold_out_share")
    if not isinstance(share, float) or not 0 < share < 1:
        raise UnknownHoldOutError(
            f"model {model.version}: hyper_parameters.hold_out_share must lie between 0 and 1, got {share!r}"
        )
    return share
