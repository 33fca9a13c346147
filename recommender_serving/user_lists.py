"""The list of one user as JSON, as `GET /recommendations/user/{user_id}` answers it."""

from typing import NamedTuple

from recommender_serving.access.conditional import is_known
from recommender_serving.champion import Champion
from recommender_serving.interleaved_lists import interleaved_list
from recommender_serving.list_serving import ListServing
from recommender_serving.rendered_list import ListSettings

DEFAULT_LENGTH = 10
_NO_EXPERIMENT = b"null"


class ListParameters(NamedTuple):
    """What a request for one user's list asks for.

    Attributes:
        wanted: Length of the list, and whether seen items are left out.
        algorithm: Of the model that is to answer; such a list belongs to no experiment.
        variant: `EXPERIMENT:VARIANT` to try out; such a list is marked as forced.
    """

    wanted: ListSettings = ListSettings(DEFAULT_LENGTH)
    algorithm: str | None = None
    variant: str | None = None


class ListAnswer(NamedTuple):
    """The answer to a request for one user's list.

    Attributes:
        body: The list as JSON; without a ranking id if it `is_known`.
        tag: Its entity tag.
        is_known: Whether the caller has it already.
    """

    body: bytes
    tag: bytes
    is_known: bool = False


class UserLists:
    """Answers for one user.

    Args:
        champion: The models.
        serving: Plans and books.
    """

    def __init__(self, champion: Champion, serving: ListServing) -> None:
        self._champion = champion
        self._serving = serving

    async def answer(self, user_id: str, asked: ListParameters, known: bytes | None = None) -> ListAnswer:
        """The list.

        One that the caller has already becomes an answer without body (see `access/conditional.py`); the ranking id of
        the first answer stays in use. So it is neither counted nor logged again.

        Args:
            user_id: Whose list.
            asked: What is asked for.
            known: The header `If-None-Match` of the request, if there is one.

        Raises:
            NotReadyError: there is no model.
            AlgorithmNotDeployedError: no model of the algorithm, or of the variant to try out, is in service.
            VariantNotRunningError: the variant to try out is not running.
        """
        deployment, serving = self._champion.deployment, self._serving
        if asked.algorithm is None:
            plan = serving.plan(deployment, user_id, asked.wanted, asked.variant)
        else:
            plan = serving.plan_without_experiment(deployment, asked.algorithm, asked.wanted)
        arm = plan.arm
        if arm is not None and len(plan.rankers) == 2:
            control, treatment = plan.rankers
            rendered = await interleaved_list(arm.reference.name, user_id, control, treatment)
        else:
            ranker = plan.rankers[0]
            rendered = await ranker.snapshot.answer(user_id, ranker.wanted)
        experiment = _NO_EXPERIMENT if arm is None else arm.json
        tag = rendered.entity_tag(user_id, experiment)
        if known is not None and is_known(tag, known):
            return ListAnswer(rendered.answer(user_id, experiment, b""), tag, is_known=True)
        ranking_id = serving.book(plan, user_id, rendered.source, rendered.items, rendered.teams)
        return ListAnswer(rendered.answer(user_id, experiment, ranking_id), tag)
