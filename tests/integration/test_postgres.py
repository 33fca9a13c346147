"""Dagster and MLflow on a real PostgreSQL, as production configures them: they start, run and survive a restart."""

import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import msgspec
import psycopg2
import pyarrow as pa
import pytest
import yaml
from deltalake import write_deltalake

from recommender_assets.definitions import defs
from recommender_assets.defs import resources as resource_definitions
from recommender_assets.ingestion.schemas import SCHEMAS
from recommender_assets.ingestion.sources import ratings
from recommender_assets.ingestion.tables import create_tables, table_path
from recommender_assets.local.broker import free_port
from recommender_assets.promotion.registry import PRODUCTION, REGISTERED_MODELS, VERSION_TAG, Registry
from recommender_assets.settings import NmfSettings, Settings, SvdSettings
from tests.postgres import DAGSTER_PASSWORD, MLFLOW_PASSWORD, Postgres, accepts

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.filterwarnings(
        "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning", "ignore::dagster.BetaWarning"
    ),  # of MLflow, Alembic and dagster-mlflow
]


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


class MlflowServer:
    """The MLflow server of Compose, on this machine: its own command with other addresses."""

    def __init__(self, postgres: Postgres, folder: Path) -> None:
        self.port = free_port(0)
        compose = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8"))
        replaced = {
            "postgres:5432": f"127.0.0.1:{postgres.port}",
            "0.0.0.0": "127.0.0.1",
            "--port=5000": f"--port={self.port}",
            "/var/lib/mlflow": str(folder / "artifacts"),
            ":5000": f":{self.port}",
        }
        self._command = list(compose["services"]["mlflow"]["command"])
        for old, new in replaced.items():
            self._command = [word.replace(old, new) for word in self._command]
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        program = str(Path(sys.executable).with_name(self._command[0]))
        environ = {
            "PGPASSWORD": MLFLOW_PASSWORD,
            "PATH": f"{Path(program).parent}:/usr/bin:/bin",
            "HOME": str(self._folder),
        }
        with (self._folder / "mlflow.log").open("ab") as log:
            self._process = subprocess.Popen(
                [program, *self._command[1:]], cwd=self._folder, env=environ, stdout=log, stderr=log
            )
        deadline = time.monotonic() + 90
        while not accepts(self.port):
            assert self._process.poll() is None, (self._folder / "mlflow.log").read_text(encoding="utf-8")
            assert time.monotonic() < deadline
            time.sleep(0.1)
        with urllib.request.urlopen(f"{self.uri}/health") as answer:
            assert answer.status == 200

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)


@pytest.fixture
def mlflow_server(postgres: Postgres, tmp_path: Path) -> Iterator[MlflowServer]:
    server = MlflowServer(postgres, tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def home(postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """DAGSTER_HOME with the production `dagster.yaml`, its variables set."""
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(ROOT / "deploy" / "dagster" / "dagster.yaml", home)
    for name, value in {
        "DAGSTER_POSTGRES_HOST": "127.0.0.1",
        "DAGSTER_POSTGRES_PORT": str(postgres.port),
        "DAGSTER_POSTGRES_DB": "dagster",
        "DAGSTER_POSTGRES_USER": "dagster",
        "DAGSTER_POSTGRES_PASSWORD": DAGSTER_PASSWORD,
        "DAGSTER_STORAGE": str(tmp_path / "dagster"),
    }.items():
        monkeypatch.setenv(name, value)
    return home


@pytest.fixture
def training_settings(project_settings: Settings, tmp_path: Path, mlflow_server: MlflowServer) -> Settings:
    """Small models on 20,000 real ratings, and MLflow's server as the tracking store."""
    settings = msgspec.structs.replace(
        project_settings,
        storage=msgspec.structs.replace(project_settings.storage, root=str(tmp_path / "data")),
        mlflow=msgspec.structs.replace(project_settings.mlflow, tracking_uri=mlflow_server.uri),
        models=msgspec.structs.replace(
            project_settings.models, svd=SvdSettings(factors=8, epochs=4), nmf=NmfSettings(factors=4, iterations=2)
        ),
    )
    create_tables(settings.root)
    rows = ratings().slice(0, 20_000)
    numbers = pa.array(range(rows.num_rows), pa.int64())
    rows = rows.append_column("event_type", pa.repeat("rating", rows.num_rows))
    rows = rows.append_column("event_id", numbers.cast(pa.string())).append_column("event_key", numbers)
    rows = rows.select(SCHEMAS["interaction_history"].names)
    write_deltalake(table_path(settings.root, "interaction_history"), rows, mode="append")
    return settings


def materialize(settings: Settings, instance: dg.DagsterInstance, *names: str) -> str:
    """Materialise assets of the code location; returns the id of the run."""
    assets = [defs().get_assets_def(name) for name in names]
    resources = {"settings": settings, "mlflow": resource_definitions.mlflow}
    result = dg.materialize(assets, instance=instance, resources=resources)
    assert result.success
    return result.run_id


def test_dagster_and_mlflow_keep_what_they_know_over_a_restart_of_the_database(
    postgres: Postgres, mlflow_server: MlflowServer, home: Path, training_settings: Settings
) -> None:
    with dg.DagsterInstance.from_config(str(home)) as instance:
        first = materialize(training_settings, instance, "user_item_matrix", "svd_model")
        made = instance.get_latest_materialization_event(dg.AssetKey("svd_model"))
    assert made is not None
    assert made.asset_materialization is not None
    version = made.asset_materialization.metadata["version"].value
    registry = Registry(training_settings)
    registry.client.create_registered_model(REGISTERED_MODELS["svd"])
    (run,) = registry.client.search_runs([registry.experiment_id], f"tags.`{VERSION_TAG}` = '{version}'")
    source = f"{run.info.artifact_uri}/model"
    registered = registry.client.create_model_version(REGISTERED_MODELS["svd"], source, run.info.run_id)
    registry.client.set_registered_model_alias(REGISTERED_MODELS["svd"], PRODUCTION, registered.version)

    mlflow_server.stop()
    postgres.stop()
    postgres.start()
    mlflow_server.start()

    with dg.DagsterInstance.from_config(str(home)) as instance:
        kept = instance.get_run_by_id(first)
        assert kept is not None
        assert kept.status == dg.DagsterRunStatus.SUCCESS
        second = materialize(training_settings, instance, "user_item_matrix")
        assert {found.run_id for found in instance.get_runs()} == {first, second}
    client = Registry(training_settings).client
    found = client.get_model_version_by_alias(REGISTERED_MODELS["svd"], PRODUCTION)
    assert found.run_id == run.info.run_id
    (manifest,) = Path(client.download_artifacts(found.run_id, "model", str(home))).rglob("manifest.json")
    assert str(version) in manifest.read_text(encoding="utf-8")


def test_each_program_gets_its_own_database_and_no_other(postgres: Postgres) -> None:
    def connect(user: str, password: str, database: str) -> None:
        psycopg2.connect(host="127.0.0.1", port=postgres.port, user=user, password=password, dbname=database).close()

    connect("dagster", DAGSTER_PASSWORD, "dagster")
    connect("mlflow", MLFLOW_PASSWORD, "mlflow")
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        connect("dagster", "wrong", "dagster")
    with pytest.raises(psycopg2.OperationalError, match="permission denied"):
        connect("dagster", DAGSTER_PASSWORD, "mlflow")


def test_a_password_that_is_not_set_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_POSTGRES_PASSWORD")
    with pytest.raises(dg.DagsterInvalidConfigError, match="DAGSTER_POSTGRES_PASSWORD"):
        dg.DagsterInstance.from_config(str(home))
