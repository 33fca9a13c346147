import asyncio
from contextlib import suppress
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from recommender_serving.engine.assignment import Assigner
from recommender_serving.engine.experiment_definition import ExclusionSlice
from recommender_serving.engine.running_experiments import running_experiments_path, stop_experiment
from recommender_serving.errors import VariantNotRunningError
from recommender_serving.experiments import Experiments
from recommender_serving.metrics import Metrics
from tests.unit.recommender_serving.running import start
from tests.unit.recommender_serving.service import until

USERS = [f"user{number}" for number in range(2_000)]


def following(root: Path, metrics: Metrics | None = None) -> Experiments:
    return Experiments(root, 0.01, metrics or Metrics())


async def arms(experiments: Experiments) -> dict[str, tuple[str, str]]:
    await experiments.refresh()
    found = {user: experiments.arm_of(user) for user in USERS}
    return {user: (arm.reference.name, arm.reference.variant) for user, arm in found.items() if arm is not None}


async def test_without_experiments_nobody_takes_part(tmp_path: Path) -> None:
    assert await arms(following(tmp_path)) == {}


async def test_users_are_where_the_assignment_puts_them_and_replicas_agree(tmp_path: Path) -> None:
    assigner = Assigner(start(tmp_path, traffic_share=0.5))
    expected = {user: ("one", given.variant) for user in USERS if (given := assigner.assign(user)) is not None}
    assert 900 < len(expected) < 1_100
    assert await arms(following(tmp_path)) == await arms(following(tmp_path)) == expected


async def test_ramping_up_moves_nobody(tmp_path: Path) -> None:
    experiments, before = following(tmp_path), {}
    for share in (0.0, 0.1, 0.4, 1.0):
        start(tmp_path, traffic_share=share)
        after = await arms(experiments)
        assert before.items() <= after.items()
        assert len(after) == pytest.approx(share * len(USERS), abs=100)
        before = after


async def test_stopping_by_the_file_takes_effect_at_the_next_look(tmp_path: Path) -> None:
    start(tmp_path)
    experiments = following(tmp_path)
    assert len(await arms(experiments)) == len(USERS)
    stop_experiment(tmp_path, "one")
    assert await arms(experiments) == {}
    start(tmp_path)
    running_experiments_path(tmp_path).unlink()
    assert await arms(experiments) == {}


async def test_a_damaged_file_changes_nothing_and_is_stated_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics()
    experiments = following(tmp_path, metrics)
    start(tmp_path)
    before = await arms(experiments)
    running_experiments_path(tmp_path).write_bytes(b"[{")
    for _ in range(3):
        assert await arms(experiments) == before
    (reason,) = experiments.reasons()
    assert reason.code == "experiments_refused"
    assert "RUNNING.json" in reason.detail
    experiments.observe()
    text = generate_latest(metrics.registry).decode()
    assert "recommender_refused_experiments_total 1.0" in text
    assert 'recommender_degraded{reason="experiments_refused"} 1.0' in text
    assert 'recommender_experiment_running{experiment="one"} 1.0' in text
    assert caplog.text.count("cannot be read") == 1
    running_experiments_path(tmp_path).unlink()
    assert await arms(experiments) == {}
    assert experiments.reasons() == []
    assert "recommender_experiment_running{" not in generate_latest(metrics.registry).decode()


async def test_a_file_that_cannot_be_read_changes_nothing(tmp_path: Path) -> None:
    experiments = following(tmp_path)
    start(tmp_path)
    before = await arms(experiments)
    running_experiments_path(tmp_path).unlink()
    running_experiments_path(tmp_path).mkdir()
    assert await arms(experiments) == before
    assert experiments.reasons()


async def test_an_exclusion_group_shares_no_user(tmp_path: Path) -> None:
    for name, begin, end in (("a", 0.0, 0.3), ("b", 0.3, 0.7)):
        start(tmp_path, name, slice=ExclusionSlice(group="g", start=begin, end=end))
    found = await arms(following(tmp_path))
    counts = {name: sum(experiment == name for experiment, _ in found.values()) for name in "ab"}
    assert counts == {"a": pytest.approx(600, abs=90), "b": pytest.approx(800, abs=90)}
    stop_experiment(tmp_path, "b")
    alone = await arms(following(tmp_path))
    assert alone == {user: arm for user, arm in found.items() if arm[0] == "a"}


async def test_a_later_experiment_takes_no_user_from_an_earlier_one(tmp_path: Path) -> None:
    start(tmp_path, "z", started_us=1, traffic_share=0.5)
    before = await arms(following(tmp_path))
    start(tmp_path, "a", started_us=2)
    after = await arms(following(tmp_path))
    assert before.items() <= after.items()
    rest = [variant for user, (name, variant) in after.items() if user not in before and name == "a"]
    assert len(rest) == len(USERS) - len(before)
    assert rest.count("control") == pytest.approx(len(rest) / 2, abs=100)


async def test_forced_users_come_first_and_are_marked(tmp_path: Path) -> None:
    start(tmp_path, "a", started_us=1)
    start(tmp_path, "b", started_us=2, traffic_share=0.0, forced={"user7": "treatment"})
    experiments = following(tmp_path)
    assert (await arms(experiments))["user7"] == ("b", "treatment")
    arm = experiments.arm_of("user7")
    assert arm is not None
    assert arm.reference.forced
    assert arm.json == b'{"name":"b","variant":"treatment","forced":true}'
    other = experiments.arm_of("user8")
    assert other is not None
    assert b"forced" not in other.json


async def test_a_variant_can_be_tried_out_only_while_it_runs(tmp_path: Path) -> None:
    experiments = following(tmp_path)
    with pytest.raises(VariantNotRunningError, match=r"running \(none\), got one:treatment"):
        experiments.forced_arm("one:treatment")
    start(tmp_path, traffic_share=0.0)
    await experiments.refresh()
    arm = experiments.forced_arm("one:treatment")
    assert (arm.reference.variant, arm.reference.forced) == ("treatment", True)
    for name in ("one:blue", "two:control", "one", ""):
        with pytest.raises(VariantNotRunningError, match=r"one:control, one:treatment"):
            experiments.forced_arm(name)


async def test_an_interleaving_experiment_has_one_arm_of_two_rankers(tmp_path: Path) -> None:
    start(tmp_path, kind="interleaving", forced={"user7": "treatment"})
    experiments = following(tmp_path)
    found = await arms(experiments)
    assert found.pop("user7") == ("one", "treatment")
    assert set(found.values()) == {("one", "interleaved")}
    arm, forced = experiments.arm_of("user1"), experiments.arm_of("user7")
    assert arm is not None
    assert forced is not None
    assert list(arm.rankers) == ["control", "treatment"]
    assert list(forced.rankers) == ["treatment"]


async def test_the_watch_outlives_what_goes_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiments = following(tmp_path)
    start(tmp_path)
    outcomes = iter([RuntimeError("once")])
    work = Experiments.refresh

    async def refresh(self: Experiments) -> None:
        for error in outcomes:
            raise error
        await work(self)

    monkeypatch.setattr(Experiments, "refresh", refresh)
    watch = asyncio.create_task(experiments.watch())

    async def takes_part() -> bool:
        return experiments.arm_of("user1") is not None

    await until(takes_part)
    watch.cancel()
    with suppress(asyncio.CancelledError):
        await watch
