"""The page and the documentation in a real browser, against the real service on a real port."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from recommender_serving.access.keys import KeySettings
from recommender_serving.settings import AccessSettings
from tests.browser import Browser, running_browser
from tests.factories import make_model
from tests.unit.recommender_serving.server import listening, wait_until_ready
from tests.unit.recommender_serving.service import Service, event_json

LIST = "[...document.querySelectorAll('.list li')].map((entry) => entry.dataset.item)"
PAST = "[...document.querySelectorAll('#history li')].map((entry) => entry.dataset.item)"
MESSAGE = "document.getElementById('message').textContent"
MODEL = make_model(n_users=6, n_items=40)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with running_browser(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def service(tmp_path: Path) -> Service:
    service = Service(tmp_path)
    service.publish(MODEL)
    return service


@pytest.fixture
def url(service: Service) -> Iterator[str]:
    with listening(service) as url:
        wait_until_ready(url)
        yield url


def shows(browser: Browser, url: str, user: str) -> list[str]:
    """Open the page for a user; the items of the list."""
    browser.open(f"{url}/#{user}")
    browser.wait(f"{LIST}.length")
    items: list[str] = browser.run(LIST)
    return items


def test_a_user_is_picked_and_their_list_and_history_appear_with_titles(browser: Browser, url: str) -> None:
    browser.open(url)
    browser.wait("document.querySelectorAll('#users option').length")
    assert set(browser.run("[...document.querySelectorAll('#users option')].map((o) => o.value)")) == set(
        MODEL.user_ids
    )
    browser.run("document.getElementById('user').value = 'u1'; document.querySelector('#who button').click()")
    browser.wait(f"{LIST}.length === 10")
    answer = httpx.get(f"{url}/recommendations/user/u1").json()
    assert browser.run(LIST) == [entry["item_id"] for entry in answer["recommendations"]]
    assert browser.run("document.querySelector('.list .title').textContent") == answer["recommendations"][0]["title"]
    past = httpx.get(f"{url}/users/u1/history").json()
    assert browser.run(PAST) == [item["item_id"] for item in past["items"]]
    assert MODEL.version in browser.run("document.getElementById('model').textContent")
    assert browser.run("document.querySelector('.badge').textContent") == "champion"


def test_a_click_rates_and_the_list_follows(browser: Browser, url: str) -> None:
    first = shows(browser, url, "guest")[0]
    browser.run("document.querySelector('.list .rate button:nth-child(5)').click()")
    browser.wait(f"{PAST}.includes('{first}') && !{LIST}.includes('{first}')")
    assert "followed within" in browser.wait(f"{MESSAGE}.includes('followed') && {MESSAGE}")
    assert "latest events" in browser.run("document.querySelector('.list p').textContent")
    assert httpx.get(f"{url}/users/guest/history").json()["items"][0]["rating"] == 5.0
    browser.run("document.querySelector('#history .remove').click()")
    browser.wait(f"{LIST}.includes('{first}') && !{PAST}.length")


def test_the_keyboard_alone_rates(browser: Browser, url: str) -> None:
    first = shows(browser, url, "typist")[0]
    browser.run("document.querySelector('.rate button').focus()")
    for key in ("ArrowRight", "ArrowRight", "Enter"):
        browser.press(key)
    browser.wait(f"{PAST}.includes('{first}')")
    assert httpx.get(f"{url}/users/typist/history").json()["items"][0]["rating"] == 3.0
    focus = "document.activeElement.closest('.list li') !== null"
    assert browser.run(focus), "the focus was lost with the entry that left"
    before = browser.run("document.activeElement.getAttribute('aria-label')")
    browser.press("Tab")
    assert browser.run("document.activeElement.getAttribute('aria-label')") != before


def test_what_happens_elsewhere_changes_the_list_without_reloading(browser: Browser, url: str) -> None:
    first = shows(browser, url, "u2")[0]
    browser.run("window.notReloaded = true")
    assert httpx.post(f"{url}/events", content=event_json(user_id="u2", item_id=first)).status_code == 200
    browser.wait(f"!{LIST}.includes('{first}')", seconds=2)
    assert browser.run("window.notReloaded")


@pytest.mark.parametrize("path", ["/#u0", "/docs"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_every_width_and_colour_scheme_is_readable(
    browser: Browser, url: str, path: str, scheme: str, width: int
) -> None:
    browser.show_as(scheme, width)
    browser.open(url + path)
    browser.wait("document.querySelector('.list li, .operation') !== null")
    assert browser.run("document.documentElement.scrollWidth") <= width
    colours = (
        "(() => { const style = getComputedStyle(document.body); return [style.color, style.backgroundColor]; })()"
    )
    ink, paper = (sum(map(int, colour[4:-1].split(","))) for colour in browser.run(colours))
    assert (ink > paper) == (scheme == "dark")
    browser.show_as()


@pytest.mark.parametrize("path", ["/#u0", "/docs"])
def test_everything_has_a_name_and_nothing_comes_from_elsewhere(browser: Browser, url: str, path: str) -> None:
    browser.open(url + path)
    browser.wait("document.querySelector('.list li, .operation') !== null")
    browser.run("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    names = browser.names_of("button", "link", "textbox", "combobox", "region", "searchbox")
    assert len(names) > 10
    assert all(name.strip() for name in names)
    assert all(address.startswith((url, "about:blank", "data:")) for address in browser.requested)
    assert browser.logged == []


def test_the_documentation_sends_a_call_and_shows_its_answer(browser: Browser, url: str) -> None:
    browser.open(f"{url}/docs#recommendationsForUser")
    browser.wait("document.body.dataset.ready")
    listed = set(browser.run("[...document.querySelectorAll('.operation')].map((section) => section.id)"))
    schema = httpx.get(f"{url}/schema").json()
    assert listed == {operation["operationId"] for path in schema["paths"].values() for operation in path.values()}
    section = "document.getElementById('recommendationsForUser')"
    browser.run(f"{section}.querySelector('input[name=user_id]').value = 'a/b'")
    browser.run(f"{section}.querySelector('form button').click()")
    shown = browser.wait(f"{section}.querySelector('.result pre').textContent")
    assert '"user_id": "a/b"' in shown
    assert browser.run(f"{section}.querySelector('.result p').textContent").startswith("200")
    assert f"curl '{url}/recommendations/user/a%2Fb'" in browser.run(f"{section}.querySelector('.curl').textContent")


def test_a_service_with_keys_asks_for_one(browser: Browser, service: Service) -> None:
    digest = sha256(b"rk_page").hexdigest()
    service.access = AccessSettings(keys=[KeySettings(name="page", sha256=digest, scopes=["read", "write"])])
    with listening(service) as url:
        wait_until_ready(url)
        browser.open(f"{url}/#u0")
        browser.wait("!document.getElementById('unlock').hidden")
        browser.run("document.getElementById('key').value = 'rk_page'")
        browser.run("document.querySelector('#unlock button').click()")
        browser.run("document.getElementById('user').value = 'u0'; document.querySelector('#who button').click()")
        browser.wait(f"{LIST}.length && document.getElementById('unlock').hidden")
