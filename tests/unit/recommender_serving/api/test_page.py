import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

import recommender_serving
from tests.unit.recommender_serving.service import Service, problem_of

FOLDER = Path(recommender_serving.__file__).parent / "page"


class References(HTMLParser):
    """Collects what a page loads and links to, and whatever a strict policy would forbid."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href", "action"}]
        self.inline += [name for name, _ in attrs if name == "style" or name.startswith("on")]
        if tag == "style" or (tag == "script" and "src" not in dict(attrs)):
            self.inline.append(tag)


@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_a_page_and_all_it_loads_come_from_the_service_itself(service: Service, path: str) -> None:
    async with service.running() as client:
        page = await client.get(path)
        assert page.status_code == 200
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        found = References()
        found.feed(page.text)
        assert found.inline == []
        for address in found.addresses:
            assert address.startswith(("/", "#"))
            if not address.startswith("#"):
                assert (await client.get(address)).status_code == 200


async def test_the_policy_lets_nothing_else_in(service: Service) -> None:
    async with service.running() as client:
        for path in ("/", "/docs", "/page/page.js", "/page/style.css"):
            headers = (await client.get(path)).headers
            policy = dict(rule.split(" ", 1) for rule in headers["content-security-policy"].split("; "))
            assert policy["default-src"] == "'none'"
            assert set(policy.values()) == {"'none'", "'self'"}
            assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", ["nothing.js", "__init__.py", "..%2Fsettings.py", "%2Fetc%2Fpasswd", "page.js%00"])
async def test_only_the_pages_own_files_are_served(service: Service, name: str) -> None:
    async with service.running() as client:
        problem_of(await client.get(f"/page/{name}"), 404, "not_found")


def test_scripts_and_style_name_no_other_host() -> None:
    for path in FOLDER.iterdir():
        if path.suffix in {".js", ".css", ".html"}:
            assert re.findall(r"(?:https?:)?//[a-z]\S+\.[a-z]", path.read_text(encoding="utf-8")) == [], path.name
