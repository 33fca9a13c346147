from typing import Any

import pytest

from recommender_serving.engine.assignment import Assigner
from recommender_serving.engine.champion_pointer import version_directory
from recommender_serving.engine.experiment_definition import Variant
from recommender_serving.engine.factor_model import write_model
from recommender_serving.engine.recommendation_log import LogSample, ServedList
from recommender_serving.engine.running_experiments import running_experiments_path, stop_experiment
from tests.factories import make_model
from tests.unit.recommender_serving.running import start
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

SVD = make_model(n_users=30, n_items=40, version="svd-1")
NMF = make_model("nmf", n_users=30, n_items=40, seed=1, version="nmf-1")
USERS = [f"u{number:02d}" for number in range(30)]
VERSIONS = {"svd": "svd-1", "nmf": "nmf-1"}


def deploy_both(service: Service) -> None:
    service.publish(SVD)
    service.publish(NMF)
    service.promote("svd-1", deployed=VERSIONS)


async def lists_metric(client: Client, variant: str, result: str) -> float:
    labels = f'experiment="one",result="{result}",variant="{variant}"'
    return await metric(client, f"recommender_experiment_lists_total{{{labels}}}")


def logged(service: Service, answer: dict[str, Any]) -> ServedList:
    (found,) = [one for one in service.log.lists if one.ranking_id == answer["ranking_id"]]
    return found


async def test_every_user_is_answered_by_the_model_of_their_arm_and_the_list_is_logged(service: Service) -> None:
    deploy_both(service)
    assigner = Assigner(start(service.root))
    async with service.ready() as client:
        answers = {user: await recommend(client, user) for user in USERS}
        arms = {user: assignment.variant for user in USERS if (assignment := assigner.assign(user))}
        for user, answer in answers.items():
            algorithm = {"control": "svd", "treatment": "nmf"}[arms[user]]
            assert answer["experiment"] == {"name": "one", "variant": arms[user]}
            assert answer["model"] == {"algorithm": algorithm, "version": VERSIONS[algorithm]}
            assert items_of(answer) == items_of(await recommend(client, user, algorithm=algorithm))
            record = logged(service, answer)
            assert (record.user_id, record.experiment, record.variant) == (user, "one", arms[user])
            assert (record.algorithm, record.version) == (algorithm, VERSIONS[algorithm])
            assert (record.source, record.logged_share, record.forced) == (answer["source"], 1.0, False)
            assert list(record.items) == items_of(answer)
        assert {"control", "treatment"} == set(arms.values())
        for arm in ("control", "treatment"):
            assert await lists_metric(client, arm, "exposed") == list(arms.values()).count(arm)
    assert len(service.log.records) == len(USERS)
    assert {key for key, _ in service.log.records} == set(USERS)


async def test_a_list_that_names_its_algorithm_belongs_to_no_experiment(service: Service) -> None:
    deploy_both(service)
    start(service.root)
    async with service.ready() as client:
        assert (await recommend(client, "u01", algorithm="nmf"))["experiment"] is None
        assert await lists_metric(client, "treatment", "exposed") == 0
    assert service.log.records == []


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
async def test_outside_experiments_the_lists_of_a_share_of_the_users_are_logged(service: Service, share: float) -> None:
    service.publish(SVD)
    service.logged_share = share
    async with service.ready() as client:
        for user in USERS * 2:
            assert (await recommend(client, user))["experiment"] is None
    sample = LogSample(share)
    assert [one.user_id for one in service.log.lists] == [user for user in USERS * 2 if sample.holds(user)]
    assert {(one.experiment, one.variant, one.logged_share) for one in service.log.lists} <= {(None, None, share)}


async def test_experiments_start_and_stop_by_the_file_without_a_restart(service: Service) -> None:
    deploy_both(service)
    async with service.ready() as client:

        async def takes_part() -> bool:
            return (await recommend(client, "u01"))["experiment"] is not None

        assert not await takes_part()
        start(service.root)
        await until(takes_part)
        path = running_experiments_path(service.root)
        good = path.read_bytes()
        path.write_bytes(b"nonsense")

        async def is_degraded() -> bool:
            return bool((await client.get("/health/ready")).json()["status"] == "degraded")

        await until(is_degraded)
        reasons = (await client.get("/health/ready")).json()["reasons"]
        assert [reason["code"] for reason in reasons] == ["experiments_refused"]
        assert await takes_part()
        path.write_bytes(good)
        stop_experiment(service.root, "one")

        async def is_over() -> bool:
            return not await takes_part()

        await until(is_over)
        assert not await is_degraded()


async def test_without_the_model_of_an_arm_the_champion_answers_and_nothing_counts_as_exposure(
    service: Service,
) -> None:
    service.publish(SVD)
    arms = {"control": Variant(algorithm="svd", version="svd-0"), "treatment": Variant(algorithm="nmf")}
    start(service.root, variants=arms)
    async with service.ready() as client:
        answers = [await recommend(client, user) for user in USERS]
        assert {str(answer["experiment"]) for answer in answers} == {"None"}
        assert {answer["model"]["version"] for answer in answers} == {"svd-1"}
        fallbacks = [await lists_metric(client, arm, "not_deployed") for arm in arms]
        assert sum(fallbacks) == len(USERS)
        assert min(fallbacks) > 0
        assert [await lists_metric(client, arm, "exposed") for arm in arms] == [0, 0]
    assert service.log.records == []


async def test_two_versions_of_one_algorithm_are_in_service_while_an_experiment_names_them(service: Service) -> None:
    challenger = make_model(n_users=30, n_items=40, seed=7, version="svd-2")
    write_model(version_directory(service.root, "svd-2"), challenger)
    service.publish(SVD)
    arms = {"control": Variant(algorithm="svd"), "treatment": Variant(algorithm="svd", version="svd-2")}
    async with service.ready() as client:
        before = await recommend(client, "u01")
        start(service.root, variants=arms, forced={"u01": "treatment"})

        async def both() -> bool:
            versions = {(await recommend(client, user))["model"]["version"] for user in USERS}
            return versions == {"svd-1", "svd-2"}

        await until(both)
        answers = [await recommend(client, user) for user in USERS]
        expected = {"control": "svd-1", "treatment": "svd-2"}
        assert all(one["model"]["version"] == expected[one["experiment"]["variant"]] for one in answers)
        assert (await recommend(client, "u01", algorithm="svd"))["model"]["version"] == "svd-1"
        assert (await client.get("/model")).json()["deployed"] == {"svd": "svd-1"}
        assert (await client.get("/health/ready")).json()["status"] == "ready"
        assert items_of(await recommend(client, "u01")) != items_of(before)
        stop_experiment(service.root, "one")
        start(service.root, "other", variants=arms | {"treatment": Variant(algorithm="nmf", version="svd-2")})

        async def is_refused() -> bool:
            path = "/recommendations/user/u01?variant=other:treatment"
            return bool((await client.get(path)).json().get("code") == "algorithm_not_deployed")

        await until(is_refused)
        assert items_of(await recommend(client, "u01", variant="other:control")) == items_of(before)


async def test_a_version_that_is_not_there_is_stated_and_the_champion_serves_on(service: Service) -> None:
    service.publish(SVD)
    start(
        service.root, variants={"control": Variant(algorithm="svd"), "treatment": Variant(algorithm="svd", version="x")}
    )
    async with service.ready() as client:

        async def is_stated() -> bool:
            reasons = (await client.get("/health/ready")).json()["reasons"]
            return [reason["code"] for reason in reasons] == ["champion_refused"] and " x " in reasons[0]["detail"]

        await until(is_stated)
        answers = [await recommend(client, user) for user in USERS]
        assert {answer["model"]["version"] for answer in answers} == {"svd-1"}
        assert {str(answer["experiment"]) for answer in answers} == {"None", "{'name': 'one', 'variant': 'control'}"}
        stop_experiment(service.root, "one")

        async def is_well() -> bool:
            return bool((await client.get("/health/ready")).json()["status"] == "ready")

        await until(is_well)


async def test_a_variant_ranks_by_its_own_settings(service: Service) -> None:
    deploy_both(service)
    arms = {
        "control": Variant(algorithm="svd", version="svd-1", popularity_discount=0.9),
        "treatment": Variant(algorithm="svd", diversity=0.8),
    }
    start(service.root, variants=arms)
    settings = {"control": {"popularity_discount": 0.9}, "treatment": {"diversity": 0.8}}
    async with service.ready() as client:
        plain, changed = 0, 0
        for user in USERS[:12]:
            answer = await recommend(client, user)
            body = {"user_id": user, "algorithm": "svd", **settings[answer["experiment"]["variant"]]}
            posted = (await client.post("/recommendations", json=body)).json()
            assert answer["recommendations"] == posted["recommendations"]
            changed += items_of(answer) != items_of(await recommend(client, user, algorithm="svd"))
            plain += 1
        assert changed > plain / 2


async def test_a_variant_is_tried_out_by_name_and_left_out_of_the_analysis(service: Service) -> None:
    deploy_both(service)
    start(service.root, traffic_share=0.0)
    async with service.ready() as client:
        answer = await recommend(client, "u01", variant="one:treatment")
        assert answer["experiment"] == {"name": "one", "variant": "treatment", "forced": True}
        assert answer["model"]["algorithm"] == "nmf"
        assert (await recommend(client, "u01"))["experiment"] is None
        assert await lists_metric(client, "treatment", "forced") == 1
        assert await lists_metric(client, "treatment", "exposed") == 0
        path = "/recommendations/user/u01"
        problem_of(await client.get(path, params={"variant": "one:blue"}), 409, "variant_not_running")
        problem_of(await client.get(path, params={"variant": "two:control"}), 409, "variant_not_running")
        problem_of(await client.get(path, params={"variant": "one"}), 400, "invalid_request")
        both = {"variant": "one:control", "algorithm": "nmf"}
        problem_of(await client.get(path, params=both), 400, "invalid_request")
        service.promote("svd-1")

        async def is_refused() -> bool:
            return (await client.get(path, params={"variant": "one:treatment"})).status_code == 409

        await until(is_refused)
    (record,) = [one for one in service.log.lists if one.ranking_id == answer["ranking_id"]]
    assert record.forced


@pytest.mark.parametrize("query", ["", "?num_recommendations=%31%30"])
async def test_a_list_that_the_caller_has_already_is_neither_counted_nor_logged_again(
    service: Service, query: str
) -> None:
    deploy_both(service)
    assigner = Assigner(start(service.root))
    arm = assigner.assign("u01")
    assert arm is not None
    async with service.ready() as client:
        path = f"/recommendations/user/u01{query}"
        first = await client.get(path)
        for _ in range(3):
            again = await client.get(path, headers={"If-None-Match": first.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")
        assert await lists_metric(client, arm.variant, "exposed") == 1
        assert len(service.log.records) == 1
        changed = await client.get(path, headers={"If-None-Match": 'W/"another"'})
        assert changed.status_code == 200
        assert changed.json()["ranking_id"] != first.json()["ranking_id"]
        assert [one.ranking_id for one in service.log.lists] == [
            answer.json()["ranking_id"] for answer in (first, changed)
        ]


async def test_a_full_log_delays_nothing_and_is_counted(service: Service) -> None:
    deploy_both(service)
    start(service.root)
    service.log.is_full = True
    async with service.ready() as client:
        for user in USERS:
            await recommend(client, user)
        assert await metric(client, 'recommender_log_lists_total{result="written"}') == len(USERS)
        assert await metric(client, 'recommender_log_lists_total{result="dropped"}') == len(USERS)


async def test_two_replicas_answer_alike(service: Service) -> None:
    deploy_both(service)
    start(service.root, kind="interleaving", traffic_share=0.7)
    async with service.ready() as one, service.ready() as other:
        for user in [*USERS, "nobody", "no one"]:
            pair = [await recommend(client, user) for client in (one, other)]
            assert pair[0] | {"ranking_id": ""} == pair[1] | {"ranking_id": ""}


async def test_an_interleaved_list_hides_its_teams_and_logs_them(service: Service) -> None:
    deploy_both(service)
    start(service.root, kind="interleaving")
    first_picks = []
    async with service.ready() as client:
        for user in [*USERS, "nobody", "no one"]:
            answer = await recommend(client, user)
            assert answer["experiment"] == {"name": "one", "variant": "interleaved"}
            assert "teams" not in str(answer)
            record = logged(service, answer)
            assert list(record.items) == items_of(answer)
            assert record.teams is not None
            assert len(record.teams) == len(set(record.items)) == 10
            assert (record.algorithm, record.version) == ("svd", "svd-1")
            assert (record.treatment_algorithm, record.treatment_version) == ("nmf", "nmf-1")
            for arm, algorithm in (("control", "svd"), ("treatment", "nmf")):
                own = await recommend(client, user, algorithm=algorithm)
                placed = [item for item, team in zip(record.items, record.teams, strict=True) if team == arm]
                assert len(placed) == 5
                ranks = [items_of(own).index(item) for item in placed]
                assert ranks == sorted(ranks)
                entries = {entry["item_id"]: entry for entry in own["recommendations"]}
                shown = {entry["item_id"]: entry for entry in answer["recommendations"]}
                assert all(shown[item] == entries[item] for item in placed)
            first_picks.append(record.teams[0])
            again = await recommend(client, user)
            assert again["recommendations"] == answer["recommendations"]
    assert 5 < first_picks.count("control") < 27


async def test_users_that_nobody_knows_have_coins_of_their_own(service: Service) -> None:
    deploy_both(service)
    start(service.root, kind="interleaving")
    async with service.ready() as client:
        teams = [logged(service, await recommend(client, f"nobody{number}")).teams for number in range(30)]
        again = [logged(service, await recommend(client, f"nobody{number}")).teams for number in range(30)]
    assert teams == again
    assert len(set(teams)) > 15


async def test_an_interleaved_list_follows_the_treatments_model(service: Service) -> None:
    deploy_both(service)
    start(service.root, kind="interleaving")
    service.publish(make_model("nmf", n_users=30, n_items=40, seed=9, version="nmf-2"))
    service.promote("svd-1", deployed=VERSIONS)
    async with service.ready() as client:

        async def is_interleaved_with(version: str) -> bool:
            record = logged(service, await recommend(client, "u02"))
            return record.treatment_version == version

        await until(lambda: is_interleaved_with("nmf-1"))
        service.promote("svd-1", deployed={"svd": "svd-1", "nmf": "nmf-2"})
        await until(lambda: is_interleaved_with("nmf-2"))
        record = logged(service, await recommend(client, "u02"))
        assert record.teams is not None
        own = items_of(await recommend(client, "u02", algorithm="nmf"))
        placed = [item for item, team in zip(record.items, record.teams, strict=True) if team == "treatment"]
        assert len(placed) == 5
        assert set(placed) <= set(own)


async def test_the_coins_are_tossed_anew_after_an_event(service: Service) -> None:
    deploy_both(service)
    start(service.root, kind="interleaving")
    async with service.ready() as client:
        tosses = []
        for turn in range(12):
            body = event_json(user_id="u03", item_id="i39", timestamp=f"2024-01-01T12:00:{turn:02d}Z")
            assert (await client.post("/events", content=body)).json()["accepted"] == 1
            record = logged(service, await recommend(client, "u03"))
            assert record.teams is not None
            tosses.append(record.teams[::2])
        assert len(set(tosses)) > 6


async def test_a_body_gets_lists_of_experiments_too(service: Service) -> None:
    deploy_both(service)
    start(service.root)
    async with service.ready() as client:
        expected = [await recommend(client, user) for user in USERS[:5]]
        lists = (await client.post("/recommendations", json={"users": USERS[:5]})).json()["lists"]
        for one, other in zip(lists, expected, strict=True):
            assert one | {"ranking_id": ""} == other | {"ranking_id": ""}
            record = logged(service, one)
            assert (record.experiment, record.variant) == ("one", one["experiment"]["variant"])
            assert list(record.items) == items_of(one)
        forced = {"user_id": "u01", "variant": "one:treatment"}
        answer = (await client.post("/recommendations", json=forced)).json()
        assert answer["experiment"]["forced"]
        before = len(service.log.records)
        for outside in (
            {"items": ["i01"]},
            {"user_id": "u01", "algorithm": "svd"},
            {"user_id": "u01", "diversity": 0.5},
            {"user_id": "u01", "popularity_discount": 0.5},
        ):
            assert (await client.post("/recommendations", json=outside)).json()["experiment"] is None
        assert len(service.log.records) == before
        for refused in ({"items": ["i01"]}, {"user_id": "u01", "algorithm": "svd"}, {"user_id": "u01", "diversity": 1}):
            body = {**refused, "variant": "one:treatment"}
            problem = problem_of(await client.post("/recommendations", json=body), 400, "invalid_body")
            assert problem["detail"].startswith("variant: expected none with items, algorithm")
        body = {"user_id": "u01", "variant": "treatment"}
        problem = problem_of(await client.post("/recommendations", json=body), 400, "invalid_body")
        assert problem["detail"].startswith("variant: expected a text like EXPERIMENT:VARIANT")


async def test_a_body_gets_the_same_interleaved_list_with_explanations_of_each_team(service: Service) -> None:
    deploy_both(service)
    start(service.root, kind="interleaving")
    async with service.ready() as client:
        for user in USERS[:5]:
            expected = await recommend(client, user)
            answer = (await client.post("/recommendations", json={"user_id": user, "explain": True})).json()
            assert items_of(answer) == items_of(expected)
            assert all(entry["explanation"] for entry in answer["recommendations"])
            assert logged(service, answer).teams == logged(service, expected).teams
