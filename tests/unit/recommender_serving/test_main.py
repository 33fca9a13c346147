import socket
import subprocess
import sys
from pathlib import Path

import pytest

from recommender_serving.__main__ import PortTakenError, listen, main
from recommender_serving.engine.config import ApiSettings


def test_a_taken_port_is_an_error_that_names_the_setting() -> None:
    with listen(ApiSettings(port=0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTakenError, match=rf"api\.port: cannot listen on 127\.0\.0\.1:{port}"):
            listen(ApiSettings(port=port))


def test_a_taken_port_ends_the_program_with_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("{}", encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("RECOMMENDER__API__PORT", str(taken.getsockname()[1]))
        assert main(["--config", str(config)]) == 2
    assert "error: api.port" in capsys.readouterr().err


def test_a_missing_configuration_ends_the_program_with_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", "/nowhere/config.yaml"]) == 2
    assert "/nowhere/config.yaml" in capsys.readouterr().err


def test_help_explains_settings_and_starts_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    assert "RECOMMENDER__API__PORT" in capsys.readouterr().out


def test_the_service_imports_none_of_the_heavy_libraries() -> None:
    program = (
        "import sys, recommender_serving.app\n"
        "heavy = {'scipy', 'numba', 'pandas', 'pyarrow', 'mlflow', 'pyspark', 'dagster', 'sklearn',"
        " 'recommender_assets'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
