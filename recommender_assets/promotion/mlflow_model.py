"""The file `MLmodel` beside a model's files: with it MLflow knows the model's signature, and how to load and ask it."""

from pathlib import Path

from mlflow.models import Model, ModelSignature
from mlflow.pyfunc import add_to_model
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

LOADER_MODULE = "recommender_assets.promotion.prediction"
DATA_FOLDER = "data"
_DEFAULT_LENGTH = 10

SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec(DataType.string, "user_id")]),
    outputs=Schema(
        [
            ColSpec(DataType.string, "user_id"),
            ColSpec(DataType.long, "rank"),
            ColSpec(DataType.string, "item_id"),
            ColSpec(DataType.string, "title"),
            ColSpec(DataType.double, "score"),
            ColSpec(DataType.double, "predicted_rating"),
            ColSpec(DataType.string, "source"),
        ]
    ),
    params=ParamSchema([ParamSpec("num_recommendations", DataType.long, _DEFAULT_LENGTH)]),
)


def write_mlmodel(path: Path, run_id: str, artifact_path: str) -> None:
    """Write `MLmodel` for a model whose files lie in the folder `data` beside it.

    The model is loaded by this package, which has to be installed where it is asked.
    """
    model = Model(artifact_path=artifact_path, run_id=run_id, signature=SIGNATURE)
    add_to_model(model, loader_module=LOADER_MODULE, data=DATA_FOLDER)  # type: ignore[no-untyped-call]
    model.save(str(path))
