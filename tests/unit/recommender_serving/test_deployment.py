"""Several models in service at once."""

import numpy as np

from recommender_serving.deployment import earliest, start_of
from recommender_serving.engine.champion_pointer import version_directory
from recommender_serving.engine.factor_model import FactorModel, Position, read_model, with_shared_arrays, write_model
from tests.factories import make_model
from tests.unit.recommender_serving.service import (
    Client,
    Service,
    event_json,
    items_of,
    metric,
    problem_of,
    recommend,
    until,
)


def model_at(offset: int, algorithm: str, version: str, seed: int = 0) -> FactorModel:
    position = Position(topic="user_interactions", next_offsets={"0": offset})
    return make_model(algorithm, n_users=6, n_items=40, version=version, seed=seed, position=position)


def publish(service: Service, *models: FactorModel) -> None:
    """Write the models and deploy them all; the first is the champion."""
    for model in models:
        if not version_directory(service.root, model.version).exists():
            write_model(version_directory(service.root, model.version), model)
    service.promote(models[0].version, deployed={model.algorithm: model.version for model in models})


async def deployed(client: Client) -> dict[str, str]:
    description: dict[str, dict[str, str]] = (await client.get("/model")).json()
    return description["deployed"]


async def until_deployed(client: Client, **versions: str) -> None:
    async def as_wanted() -> bool:
        return await deployed(client) == versions

    await until(as_wanted)


SVD, NMF = model_at(0, "svd", "svd-1"), model_at(0, "nmf", "nmf-1")


async def test_the_algorithm_picks_the_model_and_the_champion_is_the_default(service: Service) -> None:
    publish(service, SVD, NMF)
    async with service.ready() as client:
        await until_deployed(client, svd="svd-1", nmf="nmf-1")
        default, svd, nmf = [
            await recommend(client, "u1", **parameters)
            for parameters in ({}, {"algorithm": "svd"}, {"algorithm": "nmf"})
        ]
    assert default["model"] == svd["model"] == {"algorithm": "svd", "version": "svd-1"}
    assert nmf["model"] == {"algorithm": "nmf", "version": "nmf-1"}
    assert items_of(default) == items_of(svd) != items_of(nmf)


async def test_an_algorithm_that_is_not_in_service_or_unknown_is_an_error_that_names_it(service: Service) -> None:
    publish(service, SVD)
    async with service.ready() as client:
        problem = problem_of(await client.get("/recommendations/user/u1?algorithm=nmf"), 409, "algorithm_not_deployed")
        assert "svd" in problem["detail"]
        problem_of(await client.get("/recommendations/user/u1?algorithm=knn"), 400, "invalid_request")


async def test_an_event_counts_in_both_models_and_each_counts_from_its_own_position(service: Service) -> None:
    for user in ("early", "late"):
        service.topic.append(event_json(user_id=user))
    publish(service, model_at(1, "svd", "svd-at-1"), model_at(0, "nmf", "nmf-at-0"))
    async with service.ready() as client:
        await until_deployed(client, svd="svd-at-1", nmf="nmf-at-0")
        sources = {
            (user, algorithm): (await recommend(client, user, algorithm=algorithm))["source"]
            for user in ("early", "late")
            for algorithm in ("svd", "nmf")
        }
    assert sources == {
        ("early", "svd"): "popular",
        ("early", "nmf"): "folded_in",
        ("late", "svd"): "folded_in",
        ("late", "nmf"): "folded_in",
    }


async def test_a_damaged_second_model_is_refused_and_the_champion_goes_on(service: Service) -> None:
    publish(service, SVD, NMF)
    async with service.ready() as client:
        await until_deployed(client, svd="svd-1", nmf="nmf-1")
        newer = model_at(0, "svd", "svd-2", seed=5)
        write_model(version_directory(service.root, "svd-2"), newer)
        write_model(version_directory(service.root, "nmf-2"), model_at(0, "nmf", "nmf-2", seed=5))
        (version_directory(service.root, "nmf-2") / "manifest.json").write_text("{}", encoding="utf-8")
        service.promote("svd-2", deployed={"svd": "svd-2", "nmf": "nmf-2"})
        await until_deployed(client, svd="svd-2")
        health = (await client.get("/health/ready")).json()
        assert health["status"] == "degraded"
        assert "nmf-2" in str(health["reasons"])
        assert await metric(client, "recommender_refused_models_total") == 1
        service.promote("svd-2", deployed={"svd": "svd-2", "nmf": "nmf-1"})
        await until_deployed(client, svd="svd-2", nmf="nmf-1")
        assert (await client.get("/health/ready")).json()["status"] == "ready"


async def test_a_rollback_to_the_model_before_reads_nothing_again(service: Service) -> None:
    for user in ("early", "middle", "late"):
        service.topic.append(event_json(user_id=user))
    older, newer = model_at(0, "svd", "svd-older"), model_at(2, "svd", "svd-newer", seed=3)
    publish(service, older)
    async with service.ready() as client:
        publish(service, newer)
        await until_deployed(client, svd="svd-newer")
        assert (await recommend(client, "early"))["source"] == "popular"
        publish(service, older)
        await until_deployed(client, svd="svd-older")
        assert [(await recommend(client, user))["source"] for user in ("early", "late")] == ["folded_in"] * 2
    assert service.topic.followed == [("", {0: 0})]


async def test_events_are_let_go_two_swaps_later(service: Service) -> None:
    for number in range(4):
        service.topic.append(event_json(user_id=f"user{number}"))
    held = []
    async with service.running() as client:
        for offset in (0, 1, 2, 3):
            publish(service, model_at(offset, "svd", f"svd-{offset}", seed=offset))
            await until_deployed_or_waiting(client, f"svd-{offset}")
            held.append(await metric(client, "recommender_live_events"))
    assert held[0] == 4
    assert held[3] == 2, "from the position of the model before: offsets 2 and 3"


async def until_deployed_or_waiting(client: Client, version: str) -> None:
    async def serves() -> bool:
        response = await client.get("/model")
        return response.status_code == 200 and response.json()["version"] == version

    await until(serves)


async def test_a_model_that_stays_keeps_what_it_has_rendered(service: Service) -> None:
    publish(service, SVD)
    async with service.ready() as client:
        await recommend(client, "u1")
        solves = await metric(client, "recommender_user_solve_duration_seconds_count")
        publish(service, SVD, NMF)
        await until_deployed(client, svd="svd-1", nmf="nmf-1")
        await recommend(client, "u1")
        assert await metric(client, "recommender_user_solve_duration_seconds_count") == solves


def test_equal_arrays_of_two_models_are_in_memory_once(service: Service) -> None:
    for model in (SVD, NMF):
        write_model(version_directory(service.root, model.version), model)
    svd, nmf = (read_model(version_directory(service.root, version)) for version in ("svd-1", "nmf-1"))
    shared = with_shared_arrays(nmf, svd)
    assert shared.history.item is svd.history.item
    assert shared.item_ids.data is svd.item_ids.data
    assert shared.ranking.item_factors is nmf.ranking.item_factors
    assert np.array_equal(shared.popularity, nmf.popularity)
    assert shared.manifest == nmf.manifest


def test_where_the_events_of_several_models_start() -> None:
    assert earliest([{0: 5, 1: 3}]) == {0: 5, 1: 3}
    assert earliest([{0: 5, 1: 3}, {0: 2, 1: 7}]) == {0: 2, 1: 3}
    assert earliest([{0: 5, 1: 3}, {0: 9}]) == {0: 5}, "a partition that one does not name is needed whole"
    assert earliest([{0: 5}, {}]) == {}


def test_a_position_in_another_topic_is_before_everything() -> None:
    position = Position(topic_id="a", next_offsets={"0": 7})
    assert start_of(position, "a") == start_of(position, "") == {0: 7}
    assert start_of(position, "b") == {}
