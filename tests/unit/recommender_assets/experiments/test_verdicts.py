import datetime as dt
from pathlib import Path

from recommender_assets.experiments.verdicts import write_verdicts
from recommender_assets.ingestion.tables import read_table
from tests.unit.recommender_assets.experiments.runs import experiment_run

MONDAY, TUESDAY = dt.date(2026, 1, 5), dt.date(2026, 1, 6)


def test_a_day_has_one_row_per_treatment_and_a_later_look_replaces_it(tmp_path: Path) -> None:
    write_verdicts(tmp_path, experiment_run({"control": 0.2, "treatment": 0.3}, users=500), MONDAY)
    write_verdicts(tmp_path, experiment_run({"control": 0.2, "treatment": 0.3}), MONDAY)
    write_verdicts(tmp_path, experiment_run({"control": 0.2, "treatment": 0.3}), TUESDAY)
    write_verdicts(tmp_path, experiment_run({"control": 0.3, "treatment": 0.2}, name="other"), MONDAY)
    rows = read_table(tmp_path, "experiment_verdicts").to_pylist()
    assert sorted((row["experiment"], row["day"], row["decision"]) for row in rows) == [
        ("one", MONDAY, "treatment"),
        ("one", TUESDAY, "treatment"),
        ("other", MONDAY, "control"),
    ]


def test_a_row_holds_the_whole_answer(tmp_path: Path) -> None:
    run = experiment_run({"control": 0.2, "treatment": 0.3})
    write_verdicts(tmp_path, run, MONDAY)
    (row,) = read_table(tmp_path, "experiment_verdicts").to_pylist()
    result = run.results[0]
    assert (row["lift"], row["p_value"], row["power"]) == (result.lift, result.p_value, result.power)
    assert (row["lift_low"], row["lift_high"]) == result.confidence_interval
    assert (row["difference_low"], row["difference_high"]) == result.difference_interval
    assert dict(row["users"]) == result.samples
    assert row["definition"] == run.definition.fingerprint
    assert row["started_at"] == dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    assert row["traffic"] == "simulated"


def test_what_is_not_known_is_null(tmp_path: Path) -> None:
    write_verdicts(tmp_path, experiment_run({"control": 0.2, "treatment": 0.3}, users=0), MONDAY)
    (row,) = read_table(tmp_path, "experiment_verdicts").to_pylist()
    assert (row["decision"], row["lift"], row["difference_low"], row["p_value"]) == (
        "not_enough_data",
        None,
        None,
        None,
    )
