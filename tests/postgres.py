"""A real PostgreSQL server for tests, from the system's package, with the databases that production creates."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

from recommender_assets.local.broker import free_port
from tests.tools import missing

ROOT = Path(__file__).parents[1]
SUPERUSER_PASSWORD, DAGSTER_PASSWORD, MLFLOW_PASSWORD = "of-postgres", "of-dagster", "of-mlflow"


def server_programs() -> Path:
    """Folder of `initdb` and `postgres`; without them the test is skipped, in CI it fails."""
    on_path = shutil.which("initdb")
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in folders:
        if (folder / "postgres").exists():
            return folder
    missing("PostgreSQL is missing; install it: sudo apt-get install postgresql")
    raise AssertionError


class Postgres:
    """One server on this machine that asks for passwords; it can be stopped and started again on its data.

    It refuses to run as root, so root starts it as the user `postgres` of the package.
    """

    def __init__(self) -> None:
        self._programs = server_programs()
        self._folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user:
            account = pwd.getpwnam(self._user)
            os.chown(self._folder, account.pw_uid, account.pw_gid)
        self.port = free_port(0)
        password = self._folder / "password"
        password.write_text(SUPERUSER_PASSWORD, encoding="utf-8")
        access = ("--username=postgres", "--auth=scram-sha-256", f"--pwfile={password}")
        self._run("initdb", f"--pgdata={self._folder / 'data'}", *access, "--no-sync", "--locale=C.UTF-8")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        environ = {
            **os.environ,
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGPASSWORD": SUPERUSER_PASSWORD,
            "DAGSTER_POSTGRES_PASSWORD": DAGSTER_PASSWORD,
            "MLFLOW_POSTGRES_PASSWORD": MLFLOW_PASSWORD,
        }
        script = ROOT / "deploy" / "postgres" / "create-databases.sh"
        subprocess.run([str(script)], env=environ, check=True, capture_output=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        where = (f"-D{self._folder / 'data'}", f"-k{self._folder}", "-h127.0.0.1", f"-p{self.port}")
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._programs / "postgres"), *where, "-cfsync=off"],
                cwd=self._folder,
                stdout=log,
                stderr=log,
                user=self._user,
                group=self._user,
            )
        deadline = time.monotonic() + 30
        ready = [str(self._programs / "pg_isready"), "-h127.0.0.1", f"-p{self.port}", "-q"]
        while subprocess.run(ready, check=False).returncode:
            assert self._process.poll() is None, (self._folder / "log").read_text(encoding="utf-8")
            assert time.monotonic() < deadline, "PostgreSQL does not answer"
            time.sleep(0.1)

    def stop(self) -> None:
        """End the server as an orderly shutdown does: open connections are cut."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(30)
            self._process = None

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        done = subprocess.run(
            command, cwd=self._folder, user=self._user, group=self._user, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def accepts(port: int) -> bool:
    """Whether something listens on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
