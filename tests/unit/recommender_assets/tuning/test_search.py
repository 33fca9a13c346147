import math

import optuna
import pytest
from mlflow import MlflowClient
from msgspec.structs import replace

from recommender_assets.settings import MlflowSettings, NmfSettings, SvdSettings, load_settings
from recommender_assets.tuning import search as module
from recommender_assets.tuning.objective import OBJECTIVES, validation_score
from recommender_assets.tuning.search import Budget, NothingFoundError, search
from recommender_assets.tuning.search_spaces import with_values
from recommender_assets.tuning.tuning_rows import validation_split
from tests.matrices import default_settings, random_matrix

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

MATRIX = random_matrix(n_users=60, n_items=40)


@pytest.fixture(scope="module")
def tracking_uri(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"  # creating one takes seconds


@pytest.fixture
def settings(tmp_path, tracking_uri):
    plain = default_settings(
        str(tmp_path),
        svd=SvdSettings(factors=3, epochs=20, ranking_iterations=2),
        nmf=NmfSettings(factors=3, iterations=5, ranking_iterations=2),
    )
    return replace(plain, mlflow=MlflowSettings(tracking_uri=tracking_uri, experiment=tmp_path.name))


def searched(settings, trials, algorithm="svd", head="ranking", *, matrix=MATRIX, minutes=None):
    lines = []
    found = search(algorithm, head, matrix, settings, budget=Budget(trials, minutes), report=lines.append)
    return found, lines


@pytest.mark.parametrize(("algorithm", "head"), [("svd", "rating"), ("svd", "ranking"), ("nmf", "rating")])
def test_the_result_is_a_config_that_loads_and_gives_the_figure_again(settings, algorithm, head, capfd):
    found, lines = searched(settings, 3, algorithm, head)

    assert [line.split(":")[0] for line in lines] == [f"trial {i} of 3" for i in (1, 2, 3)]
    assert found.path.read_text() == found.snippet
    loaded = getattr(load_settings(found.path, {}).models, algorithm)
    assert {key: getattr(loaded, key) for key in found.values} == found.values

    configured = getattr(settings.models, algorithm)
    split = validation_split(MATRIX, settings.training)
    assert validation_score(head, split, with_values(configured, found.values), 0) == pytest.approx(found.score)
    untouched = validation_score(head, split, configured, 0)
    sign = 1 if OBJECTIVES[head].direction == "maximize" else -1
    assert sign * found.score >= sign * untouched - 1e-9  # the configured values are the first trial
    assert "[I " not in capfd.readouterr().err  # optuna's own lines


def test_a_search_continues_where_it_was_stopped(settings, monkeypatch):
    original, calls = module.validation_score, []

    def stopped_at_the_third(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(module, "validation_score", stopped_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        searched(settings, 4)
    found, lines = searched(settings, 4)

    assert [line.split(":")[0] for line in lines] == ["trial 3 of 4", "trial 4 of 4"]
    assert len(calls) == 5
    again, lines = searched(settings, 4)
    assert (lines, again) == ([], found)

    study = optuna.load_study(study_name=found.path.stem, storage=f"sqlite:///{found.path.parent}/studies.db")
    drawn = [tuple(trial.params.values()) for trial in study.trials if trial.value is not None]
    assert len(set(drawn)) == 4
    study._storage._backend.engine.dispose()


def test_every_trial_is_an_mlflow_run_below_one_parent(settings):
    searched(settings, 2)
    searched(settings, 3)

    client = MlflowClient(settings.mlflow_tracking_uri)
    experiment = client.get_experiment_by_name(settings.mlflow.experiment)
    runs = client.search_runs([experiment.experiment_id])
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    assert len(parents) == 1
    assert len(children) == 3
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parents[0].info.run_id}
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert all("ndcg_at_10" in run.data.metrics and run.data.params["factors"] == "3" for run in children)


def test_other_rows_begin_another_study(settings):
    first, _ = searched(settings, 1)
    other, lines = searched(settings, 1, matrix=random_matrix(n_users=60, n_items=40, seed=1))

    assert first.path != other.path
    assert len(lines) == 1


def test_a_trial_that_diverges_counts_and_a_search_without_a_figure_says_so(settings, monkeypatch):
    monkeypatch.setattr(module, "validation_score", lambda *_: math.nan)

    with pytest.raises(NothingFoundError, match="no trial has given a figure"):
        searched(settings, 2)


def test_no_trial_starts_after_the_time_is_up(settings):
    _, lines = searched(settings, 50, minutes=1e-6)

    assert len(lines) <= 2
