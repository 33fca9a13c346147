import socket
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from recommender_serving.__main__ import PortTakenError, listen, main
from recommender_serving.engine.config import ApiSettings
from recommender_serving.settings import Settings


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


def test_any_free_port_is_taken_with_port_0() -> None:
    with listen(ApiSettings(port=0)) as listener:
        host, port = listener.getsockname()
        assert host == "127.0.0.1"
        assert port > 0
        with socket.create_connection((host, port), timeout=1):
            pass


def test_an_address_of_another_machine_is_an_error_that_names_both_settings() -> None:
    with pytest.raises(PortTakenError, match=r"api\.port: cannot listen on 192\.0\.2\.1:0 .* or another api\.host"):
        listen(ApiSettings(host="192.0.2.1", port=0))


def test_a_bad_setting_ends_the_program_with_status_2_before_it_listens(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("api: {port: nonsense}", encoding="utf-8")
    monkeypatch.setattr("recommender_serving.__main__.listen", lambda _: pytest.fail("it listened"))
    assert main(["--config", str(config)]) == 2
    assert capsys.readouterr().err == "error: api.port: expected int, got str 'nonsense'\n"


def test_the_configured_address_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"api: {{port: 0}}\nstorage: {{root: {tmp_path}}}", encoding="utf-8")
    served: list[tuple[Settings, int]] = []

    def serve(settings: Settings, listener: socket.socket) -> None:
        served.append((settings, listener.getsockname()[1]))
        listener.close()

    monkeypatch.setattr("recommender_serving.__main__.serve", serve)
    assert main(["--config", str(config)]) == 0
    [(settings, port)] = served
    assert settings.root == tmp_path
    assert port > 0


def test_new_key_prints_a_key_and_the_entry_that_makes_it_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new-key", "--name", "shop", "--scopes", "read", "write"]) == 0
    key_line, explanation, entry = capsys.readouterr().out.splitlines()
    key = key_line.removeprefix("key (shown only now): ")
    assert "access.keys" in explanation
    expected = f'{{name: "shop", sha256: "{sha256(key.encode()).hexdigest()}", scopes: [read, write]}}'
    assert entry == f"- {expected}"


def test_new_key_knows_its_scopes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["new-key", "--name", "shop", "--scopes", "root"])
    assert end.value.code == 2
    assert "read" in capsys.readouterr().err
