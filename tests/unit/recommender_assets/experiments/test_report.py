from dataclasses import replace

import pytest

from recommender_assets.experiments.report import figures, headline, report_sections
from recommender_assets.experiments.result import FurtherEffect
from tests.unit.recommender_assets.experiments.runs import experiment_run


@pytest.mark.parametrize(
    ("rates", "users", "begins"),
    [
        ((0.2, 0.3), 2_500, "Treatment is better than control (ctr +0.0"),
        ((0.3, 0.2), 2_500, "Control is better than treatment (ctr -0.0"),
        ((0.2, 0.2), 2_500, "No difference between treatment and control was found (ctr "),
        ((0.2, 0.3), 500, "Too early for a verdict on treatment (simulated traffic): 500 of 2000 planned"),
        ((0.2, 0.3), 0, "No verdict on treatment: there is not enough data (simulated traffic): control has 0"),
    ],
)
def test_the_headline_says_who_is_better_by_how_much_and_on_whose_traffic(
    rates: tuple[float, float], users: int, begins: str
) -> None:
    run = experiment_run(dict(zip(("control", "treatment"), rates, strict=True)), users=users)
    sentence = headline(run.results[0])
    assert sentence.startswith(begins)
    assert "simulated traffic" in sentence
    assert sentence.endswith(".")


def test_the_table_holds_question_rule_figures_and_decision() -> None:
    run = experiment_run({"control": 0.2, "treatment": 0.3})
    rows = figures(run, run.results[0])
    assert rows["experiment"] == "one (control = svd, treatment = nmf)"
    assert rows["question"].startswith("ctr, smallest difference worth finding 0.05 (absolute)")
    assert rows["stop rule"] == "one test when every arm has 2,000 users"
    assert rows["users seen"] == "control 2,500, treatment 2,500"
    assert rows["note 1"] == "3 interactions belong to no served list"
    assert rows["decision"].startswith("treatment: treatment is better")
    assert "95% interval" in " ".join(rows)
    assert rows["traffic"].startswith("simulated")


def test_what_is_not_known_is_left_out() -> None:
    run = experiment_run({"control": 0.2, "treatment": 0.3}, users=0)
    assert not {"difference", "p-value", "power reached", "effect size"} & set(figures(run, run.results[0]))


def test_the_daily_rule_says_so() -> None:
    run = experiment_run({"control": 0.2, "treatment": 0.3}, stop_rule="sequential")
    assert figures(run, run.results[0])["stop rule"] == "a look every day, at most until every arm has 2,000 users"


def test_sections_are_markdown_with_the_plot() -> None:
    sections = report_sections(experiment_run({"control": 0.2, "treatment": 0.3}))
    assert list(sections) == ["one_treatment", "one_effect"]
    assert "| decision |" in sections["one_treatment"]
    assert sections["one_effect"].startswith("![effect of one by day](data:image/png;base64,")


def test_what_was_explained_and_the_segments_have_rows_of_their_own() -> None:
    run = experiment_run({"control": 0.2, "treatment": 0.3})
    effect = FurtherEffect(users=1_200, difference=0.05, interval=(0.01, 0.09), p_value=0.03)
    segments = {"popular": effect, "folded_in": effect}
    rows = figures(run, replace(run.results[0], variance_removed=0.163, segments=segments))
    assert rows["explained by before"] == "16.3% of the variance"
    assert rows["effect, popular"] == "+0.0500 (+0.0100 to +0.0900), 1,200 users, p = 0.03"
    alone = figures(run, replace(run.results[0], segments={"popular": effect}))
    assert "effect, popular" not in alone


def test_a_secondary_metric_has_a_row_of_its_own() -> None:
    run = experiment_run({"control": 0.2, "treatment": 0.3})
    effect = FurtherEffect(users=800, difference=-0.02, interval=(-0.05, 0.01), p_value=0.4)
    rows = figures(run, replace(run.results[0], secondary={"conversion": effect}))
    assert rows["also, conversion"] == "-0.0200 (-0.0500 to +0.0100), 800 users, p = 0.4"
