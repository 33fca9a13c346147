"""What MLflow's users get of a registered model is what the service answers."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recommender_assets.promotion.candidates import candidate_directory
from recommender_assets.promotion.prediction import RecommendationLists
from recommender_assets.settings import NmfSettings, Settings, SvdSettings, load_settings
from recommender_assets.training.trainer import train
from recommender_serving.engine.factor_model import FactorModel, read_model, write_model
from tests.factories import make_model
from tests.matrices import default_settings, movielens_matrix
from tests.unit.recommender_serving.service import Service, recommend

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

USERS = ["1", "2", "77", "nobody", "668", "1"]
LENGTH = 7
SMALL = default_settings(
    svd=SvdSettings(factors=8, epochs=3, ranking_iterations=2),
    nmf=NmfSettings(factors=6, iterations=3, ranking_iterations=2),
)


@pytest.fixture(scope="module", params=["svd", "nmf"])
def model(request: pytest.FixtureRequest) -> FactorModel:
    """A model of the real ratings, trained for a moment."""
    return train(request.param, movielens_matrix(), SMALL).model


def registered(settings: Settings, model: FactorModel) -> str:
    """The model trained, logged and registered as the assets do it; its address in MLflow."""
    from recommender_assets.promotion.policy import decide
    from recommender_assets.promotion.registry import REGISTERED_MODELS, Registry
    from tests.contests import contest, standing
    from tests.trainings import log_training

    directory = candidate_directory(settings.root, model.version)
    directory.parent.mkdir(parents=True)
    write_model(directory, model)
    registry = Registry(settings)
    log_training(registry, directory, model.version)
    field = [standing(model.version, 0.87)]
    registry.record_decision(field, decide(contest(field, None), settings.promotion), "decision-1")
    return f"models:/{REGISTERED_MODELS[model.algorithm]}@production"


async def test_a_registered_model_predicts_what_the_service_answers(tmp_path: Path, model: FactorModel) -> None:
    import mlflow

    settings = load_settings(environ={"RECOMMENDER__STORAGE__ROOT": str(tmp_path / "offline")})
    address = registered(settings, model)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(settings.mlflow_tracking_uri)
    try:
        loaded = mlflow.pyfunc.load_model(address)
    finally:
        mlflow.set_tracking_uri(before)
    table = loaded.predict(pd.DataFrame({"user_id": USERS}), params={"num_recommendations": LENGTH})
    assert loaded.metadata.signature.inputs.input_names() == ["user_id"]
    assert list(table.columns) == loaded.metadata.signature.outputs.input_names()
    service = Service(tmp_path / "online")
    service.publish(model)
    async with service.ready() as client:
        for place, user_id in enumerate(USERS):
            answer = await recommend(client, user_id, num_recommendations=LENGTH)
            rows = table.iloc[place * LENGTH : (place + 1) * LENGTH]
            served = pd.DataFrame(answer["recommendations"])
            assert set(rows["source"]) == {answer["source"]}
            assert rows["item_id"].tolist() == served["item_id"].tolist()
            assert rows["title"].tolist() == served["title"].tolist()
            np.testing.assert_allclose(rows["score"], served["score"], atol=1e-6)
            np.testing.assert_allclose(rows["predicted_rating"], served["predicted_rating"], atol=1e-5)
            assert rows["rank"].tolist() == list(range(1, LENGTH + 1))


def test_a_list_has_ten_items_unless_told_otherwise() -> None:
    lists = RecommendationLists(make_model(n_users=3, n_items=40))
    table = lists.predict(pd.DataFrame({"user_id": ["u0", "stranger"]}))
    assert table.groupby("user_id", sort=False).size().to_dict() == {"u0": 10, "stranger": 10}


def test_nobody_asked_is_an_empty_table() -> None:
    table = RecommendationLists(make_model()).predict(pd.DataFrame({"user_id": []}))
    assert len(table) == 0
    assert "item_id" in table.columns


def test_a_user_id_may_be_a_number() -> None:
    lists = RecommendationLists(make_model(n_items=40))
    assert set(lists.predict(pd.DataFrame({"user_id": [5]}))["source"]) == {"popular"}


def test_the_flavour_loads_the_very_files(tmp_path: Path) -> None:
    from recommender_assets.promotion import prediction
    from recommender_assets.promotion.mlflow_model import LOADER_MODULE

    write_model(tmp_path / "model", make_model(version="svd-1"))
    assert prediction.__name__ == LOADER_MODULE
    loaded = prediction._load_pyfunc(str(tmp_path / "model"))
    assert loaded.model.version == read_model(tmp_path / "model").version
