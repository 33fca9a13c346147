from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from recommender_assets.settings import MlflowSettings, Settings
from tests.matrices import default_settings


@pytest.fixture(scope="session")
def settings_at(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Settings]:
    """Settings with a storage root; all share one MLflow store, whose tables take seconds to create."""
    store = f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"

    def settings(root: Path) -> Settings:
        return msgspec.structs.replace(default_settings(str(root)), mlflow=MlflowSettings(tracking_uri=store))

    return settings
