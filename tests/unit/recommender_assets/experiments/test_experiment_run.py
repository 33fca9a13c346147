from recommender_assets.experiments.experiment_run import ExperimentRun
from recommender_assets.experiments.result import ExperimentResult
from recommender_serving.engine.experiment_definition import Guardrail, Variant
from recommender_serving.engine.running_experiments import RunningExperiment
from tests.unit.recommender_assets.experiments.runs import ARMS, experiment_run

THREE = {**ARMS, "third": Variant(algorithm="nmf", popularity_discount=0.5)}


def test_a_verdict_ends_the_experiment_and_names_the_winner() -> None:
    run = experiment_run({"control": 0.2, "treatment": 0.3})
    assert run.winner is run.results[0]
    assert run.reason_to_stop is not None
    assert run.reason_to_stop.startswith("treatment is better in ctr")


def test_no_difference_is_a_verdict_without_a_winner() -> None:
    run = experiment_run({"control": 0.2, "treatment": 0.2})
    assert run.winner is None
    assert run.reason_to_stop is not None
    assert "no difference" in run.reason_to_stop


def test_before_its_users_have_come_it_goes_on() -> None:
    assert experiment_run({"control": 0.2, "treatment": 0.3}, users=900).reason_to_stop is None


def test_users_that_arrive_askew_are_no_reason_to_stop_and_no_victory() -> None:
    run = experiment_run({"control": 0.2, "treatment": 0.3}, users={"control": 2_500, "treatment": 3_000})
    assert run.results[0].decision == "sample_ratio_mismatch"
    assert (run.winner, run.reason_to_stop) == (None, None)


def test_a_broken_guardrail_stops_before_the_users_have_come() -> None:
    rail = Guardrail(metric="conversion", largest_drop=0.02)
    run = experiment_run({"control": 0.4, "treatment": 0.2}, users=1_500, guardrails=(rail,))
    assert run.reason_to_stop == "conversion of treatment fell by more than 0.02"


def test_of_several_winners_the_greatest_counts_and_one_undecided_treatment_keeps_all_running() -> None:
    rates = {"control": 0.2, "treatment": 0.3, "third": 0.35}
    run = experiment_run(rates, variants=THREE)
    assert run.winner is not None
    assert run.winner.treatment == "third"
    undecided = experiment_run(rates, users={"control": 2_500, "treatment": 2_500, "third": 2_400}, variants=THREE)
    assert undecided.reason_to_stop is not None
    few = experiment_run(rates, users=1_990, variants=THREE)
    assert few.reason_to_stop is None


def test_the_plot_is_a_picture_also_without_a_single_look() -> None:
    for run in (experiment_run({"control": 0.2, "treatment": 0.3}), ExperimentRun(*nothing_seen())):
        assert run.plot().startswith(b"\x89PNG")


def nothing_seen() -> tuple[RunningExperiment, tuple[ExperimentResult, ...]]:
    run = experiment_run({"control": 0.2, "treatment": 0.3}, users=0)
    assert run.results[0].looks == ()
    assert run.results[0].decision == "not_enough_data"
    return run.experiment, run.results
