import sqlite3
from pathlib import Path

import pytest

from recommender_assets.local.dagster_instance import InstanceError, create_instance


def test_the_tables_are_there_afterwards_with_one_version_each_and_stay(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text("storage:\n  sqlite:\n    base_dir: storage\ntelemetry:\n  enabled: false\n")
    for _ in range(2):
        create_instance(tmp_path)
        with sqlite3.connect(tmp_path / "storage" / "schedules" / "schedules.db") as database:
            assert database.execute("select count(*) from alembic_version").fetchone() == (1,)
        database.close()


def test_a_wrong_configuration_is_shown(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text("storage:\n  no_such_storage: {}\n")
    with pytest.raises(InstanceError, match="no_such_storage"):
        create_instance(tmp_path)
