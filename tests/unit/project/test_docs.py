import ast
import importlib.util
import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import yaml

from docs import api_page, configuration_page, events_page, generate
from recommender_serving.engine.events import REASONS
from recommender_serving.engine.model_rules import LAYOUT

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
MAKE_TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
ELSEWHERE = {  # programs that are no part of the project
    *(
        "cd",
        "cp",
        "cat",
        "echo",
        "export",
        "install",
        "mkdir",
        "chmod",
        "for",
        "do",
        "done",
        "curl",
        "openssl",
        "docker",
    ),
    *("grep", "head", "tail", "sort", "ls", "df", "du", "ps", "kill", "jq", "promtool"),
    *("kubectl", "caddy", "git", "sudo", "pip", "psql", "kafka-storage.sh", "kafka-configs.sh", "kafka-acls.sh"),
}
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def blocks(page: Path, *languages: str) -> Iterator[str]:
    for language, text in re.findall(
        r"^```(\w+)\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    ):
        if language in languages:
            yield text


def anchors(page: Path) -> set[str]:
    """Anchors of the headings, as a forge makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(text: str) -> Iterator[list[str]]:
    """The commands of a shell block as words: without comments, here-documents, assignments and continued lines."""
    text = re.sub(r"<<'?(\w+)'?.*?\n.*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"\\\n\s*", " ", text)
    text = re.sub(r"'[^']*'|\"[^\"]*\"", "QUOTED", text)
    for line in text.splitlines():
        for part in re.split(r"&&|\|\||[|;]", re.sub(r"(^|\s)#.*", "", line)):
            words = part.split()
            while words and re.match(r"\w+=", words[0]):
                words = words[1:]
            if words:
                yield words


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors(linked), target


@each_page
def test_files_that_are_named_exist(page: Path) -> None:
    for name in re.findall(
        r"`((?:deploy|docs|notebooks|benchmarks|requirements|tests)/[\w./-]+)`", page.read_text("utf-8")
    ):
        assert (ROOT / name).exists(), name


@each_page
def test_commands_in_shell_blocks_exist(page: Path) -> None:
    from recommender_assets.cli import main

    for text in blocks(page, "sh", "console", "bash"):
        for words in commands(text):
            program = words[0].removeprefix(".venv/bin/")
            if program == "make":
                assert next(word for word in words[1:] if "=" not in word) in MAKE_TARGETS, words
            elif program == "recommender" and len(words) > 1 and not words[1].startswith("-"):
                assert words[1] in main.commands, words
            elif program == "python" and words[1] == "-m":
                assert importlib.util.find_spec(words[2]) is not None, words
            else:
                assert program in ELSEWHERE | {"recommender", "recommender-serve", "dg", "python"}, words


@each_page
def test_code_blocks_parse(page: Path) -> None:
    for text in blocks(page, "json"):
        json.loads(text)
    for text in blocks(page, "yaml"):
        list(yaml.safe_load_all(text))
    for text in blocks(page, "python"):
        ast.parse(text)


@each_page
def test_every_code_block_says_its_language(page: Path) -> None:
    fences = re.findall(r"^```(\w*)", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert all(fences[::2]), "a code block begins without its language"
    assert not any(fences[1::2])


def test_generated_pages_are_up_to_date() -> None:
    assert generate.outdated() == [], "run `make docs`"


def test_an_outdated_or_missing_page_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "PAGES", {"a.md": lambda: "new", "b.md": lambda: "same", "c.md": lambda: "missing"})
    (tmp_path / "a.md").write_text("old", encoding="utf-8")
    (tmp_path / "b.md").write_text("same", encoding="utf-8")
    assert generate.outdated(tmp_path) == ["a.md", "c.md"]


def test_every_reason_for_rejection_has_an_example() -> None:
    assert [found.reason for found in events_page.refusals()] == [reason for reason in REASONS if reason != "duplicate"]


def test_every_key_of_the_shipped_configuration_is_described() -> None:
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    page = configuration_page.page()
    for section, keys in config.items():
        described = configuration_page.sections()
        if section not in described:
            assert any(name.startswith(f"{section}.") for name in described), section
            continue
        part = page.partition(f"## `{section}`\n")[2].partition("\n## ")[0]
        for key in keys:
            assert f"| `{key}" in part, f"{section}.{key}"


def test_what_a_docstring_says_of_several_attributes_is_said_of_each() -> None:
    class Example:
        """Summary.

        Attributes:
            one, two: shared text
                over two lines.
            three: another.
        """

    found = configuration_page.described_attributes(Example)  # type: ignore[arg-type]
    assert found == {"one": "shared text over two lines.", "two": "shared text over two lines.", "three": "another."}


def test_the_interface_page_has_every_call_with_its_objects() -> None:
    page, document = api_page.page(), api_page.openapi_document()
    for path, methods in document["paths"].items():
        for method in methods:
            assert f"### `{method.upper()} {path}`\n" in page
    for name in document["components"]["schemas"]:
        assert f"\n### {name}\n" in page


def test_words_of_shell_blocks_are_found() -> None:
    text = "A=1 make demo ONCE=1 # c\ncat > x <<'EOF'\nmake nothing\nEOF\n"
    text += "curl 'http://x;y' | python -m json.tool\nrecommender \\\n  train\n"
    assert [words[0] for words in commands(text)] == ["make", "cat", "curl", "python", "recommender"]


def test_the_bytes_of_a_model_in_the_scaling_guide_are_those_of_the_file_format() -> None:
    def bytes_per(row: str) -> int:
        return sum(np.dtype(kind).itemsize for kind, shape in LAYOUT.values() if shape == (row,))

    text = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    assert f"one event of the history {bytes_per('rows')} B" in text
    per_user = [shape for _, shape in LAYOUT.values() if len(shape) == 2 and shape[0] == "users"]
    assert len(per_user) == len([shape for _, shape in LAYOUT.values() if len(shape) == 2 and shape[0] == "items"]) == 2
    users, items, events = 10_000_000, 1_000_000, 1_000_000_000
    for factors, total in ((100, "34.0"), (50, "29.6")):
        size = (users + items) * 2 * factors * 4 + events * bytes_per("rows") + (users + items) * (10 + 8)
        assert f"{size / 1e9:.1f}" == total
        assert f" {total} GB |" in text


@pytest.mark.filterwarnings("ignore::dagster.BetaWarning")
def test_the_picture_of_the_architecture_matches_the_code() -> None:
    from recommender_assets.definitions import defs
    from recommender_assets.ingestion.tables import SCHEMAS

    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    (picture,) = blocks(ROOT / "docs" / "architecture.md", "mermaid")
    graph = defs().resolve_asset_graph()
    parents = {key.to_user_string(): graph.get(key).parent_keys for key in graph.get_all_asset_keys()}
    drawn = re.search(r"subgraph dagster.*?\n(.*?)\n +end", picture, re.DOTALL)
    assert drawn is not None
    edges: set[tuple[str, str]] = set()
    for line in drawn[1].splitlines():
        steps = [[name.strip() for name in step.split("&")] for step in line.split("-->")]
        edges |= {(one, other) for left, right in pairwise(steps) for one in left for other in right}
    real = {(parent.to_user_string(), name) for name, found in parents.items() for parent in found}
    assert edges <= real
    models = {name for edge in edges for name in edge}
    assert {edge for edge in real if set(edge) <= models and edge != ("user_item_matrix", "evaluation_report")} == edges
    tables = re.search(r"subgraph tables.*?\n(.*?)\n +end", picture, re.DOTALL)
    assert tables is not None
    assert set(re.findall(r"\w+(?=[,)])", tables[1])) <= set(SCHEMAS)
    for path in re.findall(r"`(recommender_\w+/[\w/]+(?:\.py)?)`", page):
        assert (ROOT / path).exists(), path
