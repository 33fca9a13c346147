"""The items of a model as they stand now, and the rules that can be applied to them."""

from functools import cached_property

from recommender_serving.engine.factor_model import FactorModel
from recommender_serving.engine.item_rules import Selector
from recommender_serving.engine.item_space import ItemSpace, no_new_items


class LiveCatalogue:
    """All items of one model.

    Args:
        model: The model in service.
    """

    def __init__(self, model: FactorModel) -> None:
        self._model = model
        self.space = ItemSpace(model, no_new_items(model))

    @cached_property
    def selector(self) -> Selector:
        """Applies rules to the items."""
        return Selector(self._model)
