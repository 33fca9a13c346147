import ast
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))
QUICK = ("a_day_in_the_life_of_an_event", "explore_ratings", "read_an_experiment")  # `make check-notebooks`: all
each_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)


@each_notebook
def test_a_notebook_alternates_text_and_code_in_percent_format(notebook: Path) -> None:
    text = notebook.read_text(encoding="utf-8")
    assert text.startswith("# %% [markdown]\n# # ")
    for cell in text.split("# %%")[1:]:
        kind, _, body = cell.partition("\n")
        if kind == " [markdown]":
            assert all(line.startswith("#") or not line for line in body.splitlines())
        else:
            assert kind == ""
            ast.parse(body)


@each_notebook
def test_a_notebook_uses_what_is_public_and_exists(notebook: Path) -> None:
    for node in ast.walk(ast.parse(notebook.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(str(node.module))
            for alias in node.names:
                assert not alias.name.startswith("_")
                assert hasattr(module, alias.name), f"{node.module}.{alias.name}"
        if isinstance(node, ast.Attribute):
            assert not node.attr.startswith("_")


@pytest.mark.parametrize("name", QUICK)
def test_a_quick_notebook_runs(name: str) -> None:
    command = [sys.executable, "-W", "ignore", f"notebooks/{name}.py"]
    environ = {**os.environ, "MPLBACKEND": "Agg", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_promised_notebooks_are_there() -> None:
    assert {*QUICK, "compare_svd_and_nmf"} == {notebook.stem for notebook in NOTEBOOKS}
