"""Section `models`: hyper-parameters."""

from typing import Literal

import msgspec

from recommender_assets.settings.rules import require_not_negative
from recommender_serving.engine.config import require_positive

_MAY_BE_ZERO = ("alpha", "bias_regularization", "implicit_regularization", "validation_share")


class SvdSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hyper-parameters of the `svd` model: its rating head (SGD) and its ranking head (unconstrained iALS).

    Attributes:
        factors: length of a vector, in both heads.
        learning_rate: of the first epoch.
        regularization: SGD penalty on factors.
        epochs: passes over the ratings.
        learning_rate_decay: the learning rate is multiplied by it after every epoch.
        bias_regularization: SGD penalty on biases.
        initial_deviation: standard deviation of the factors at the start.
        implicit_term: whether what a user has observed counts beside how it was rated (SVD++).
        implicit_regularization: SGD penalty on the implicit factors of a user's items, per visit of the user.
        validation_share: share of the training ratings that decides after how many epochs to stop (see
            `fit_rating_svd`); 0 trains for all `epochs`, in half the time.
        user_regularization: penalty on a user's factors in the closed-form user step.
        user_bias_regularization: penalty on a user's bias there.
        ranking_regularization: penalty on a user's factors in the ranking head.
        ranking_item_regularization: penalty on an item's factors there.
        unobserved_weight: weight of a pair without any interaction, against the strength of one with.
        ranking_iterations: alternations between users and items.
    """

    factors: int = 100
    learning_rate: float = 0.01
    regularization: float = 0.1
    epochs: int = 100
    learning_rate_decay: float = 0.98
    bias_regularization: float = 0.2
    initial_deviation: float = 0.02
    implicit_term: bool = False
    implicit_regularization: float = 0.2
    validation_share: float = 0.0
    user_regularization: float = 5.0
    user_bias_regularization: float = 3.0
    ranking_regularization: float = 8.0
    ranking_item_regularization: float = 4.0
    unobserved_weight: float = 0.15
    ranking_iterations: int = 12

    def __post_init__(self) -> None:
        numbers = [field for field in self.__struct_fields__ if field != "implicit_term"]
        require_positive(self, *(field for field in numbers if field not in _MAY_BE_ZERO))
        require_not_negative(self, *(field for field in numbers if field in _MAY_BE_ZERO))
        if self.validation_share >= 1:
            raise ValueError(f"validation_share must be less than 1, got {self.validation_share}")


class NmfSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hyper-parameters of the `nmf` model: its rating head (alternating NNLS) and its non-negative ranking head.

    Attributes:
        factors: length of a vector, in both heads.
        alpha: penalty that draws all factors of the rating head towards zero.
        beta_loss: the loss of the rating head.
        regularization: penalty that draws users and items of the rating head towards their mean vector.
        iterations: alternations between users and items.
        user_regularization: the penalty towards the mean user in the last, exact user step.
        ranking_regularization: penalty on a user's factors in the ranking head.
        ranking_item_regularization: penalty on an item's factors there.
        unobserved_weight: weight of a pair without any interaction, against the strength of one with.
        ranking_iterations: alternations between users and items.
    """

    factors: int = 50
    alpha: float = 0.0001
    beta_loss: Literal["frobenius"] = "frobenius"
    regularization: float = 10.0
    iterations: int = 20
    user_regularization: float = 10.0
    ranking_regularization: float = 4.0
    ranking_item_regularization: float = 6.0
    unobserved_weight: float = 0.15
    ranking_iterations: int = 12

    def __post_init__(self) -> None:
        numbers = [field for field in self.__struct_fields__ if field != "beta_loss"]
        require_positive(self, *(field for field in numbers if field not in _MAY_BE_ZERO))
        require_not_negative(self, *(field for field in numbers if field in _MAY_BE_ZERO))


class ModelsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `models`: one entry per algorithm."""

    svd: SvdSettings = msgspec.field(default_factory=SvdSettings)
    nmf: NmfSettings = msgspec.field(default_factory=NmfSettings)
