"""What all pages share: keys, theme, zone, Content-Security-Policy, files that are kept."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import expect

from tests.reports.dashboard.conftest import Open, violations
from tests.support.ledger import Ledger, wait_until
from tests.support.provider import Provider


@pytest.fixture(scope="module")
def one_call(_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    _provider.reset()
    with Ledger(tmp_path_factory.mktemp("pages"), _provider.url) as ledger:
        ledger.post("run-1")
        wait_until(lambda: ledger.n_recorded() == 1)
        yield ledger


def test_the_theme_is_kept_and_comes_from_the_server(one_call: Ledger, open_page: Open) -> None:
    page = open_page(one_call.url, color_scheme="light")
    assert page.locator("html").get_attribute("data-theme") is None
    page.keyboard.press("d")
    assert page.locator("html").get_attribute("data-theme") == "dark"
    page.reload()
    assert page.locator("html").get_attribute("data-theme") == "dark"
    again = one_call.get("/", headers={"accept": "text/html", "cookie": "theme=dark"})
    assert re.search('<html [^>]*data-theme="dark"', again.text)


def test_times_say_their_zone(one_call: Ledger, open_page: Open) -> None:
    page = open_page(one_call.url)
    time = page.locator("tbody time")
    assert re.fullmatch(r"\d\d:\d\d:\d\d UTC", time.inner_text())
    at = time.get_attribute("datetime")
    with page.expect_navigation():
        page.keyboard.press("u")
    assert time.inner_text().endswith(" UTC+09:00")
    assert time.get_attribute("datetime") == at
    page.reload()
    assert time.inner_text().endswith(" UTC+09:00")


def test_keys_are_listed_and_can_be_turned_off(one_call: Ledger, open_page: Open) -> None:
    page = open_page(one_call.url)
    page.keyboard.press("?")
    listed = page.locator("#keys dl").inner_text()
    assert "Switch between light and dark" in listed and "g c" in listed
    page.keyboard.press("d")  # not while a dialog is open
    assert page.locator("html").get_attribute("data-theme") is None
    page.get_by_label("Enable single-key shortcuts").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("d")
    assert page.locator("html").get_attribute("data-theme") is None
    page.reload()
    page.keyboard.press("d")
    assert page.locator("html").get_attribute("data-theme") is None


PAGES = (
    *("/", "/dashboard/sessions/", "/dashboard/sessions/run-1/", "/dashboard/flow/"),
    *("/dashboard/trace/", "/dashboard/search/?q=run", "/dashboard/analytics/"),
    "/dashboard/calls/{action_id}/",
)


def address(ledger: Ledger, path: str) -> str:
    return ledger.url + path.format(action_id=ledger.call("run-1")["action_id"])


@pytest.mark.parametrize("path", PAGES)
def test_a_link_is_copied_and_print_has_no_bars(
    one_call: Ledger, open_page: Open, path: str
) -> None:
    page = open_page(address(one_call, path), permissions=["clipboard-read", "clipboard-write"])
    page.locator("main").focus()  # out of the box that the search page is ready to type in
    page.keyboard.press("y")
    expect(page.locator("#announcement")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == page.url
    page.emulate_media(media="print")
    expect(page.get_by_role("navigation", name="Pages")).to_be_hidden()
    expect(page.locator("button:visible")).to_have_count(0)


@pytest.mark.parametrize("path", PAGES)
def test_all_scripts_are_asked_for_at_once(one_call: Ledger, open_page: Open, path: str) -> None:
    url = address(one_call, path)
    page = open_page(url)
    page.wait_for_load_state("networkidle")
    loaded = page.evaluate(
        "performance.getEntriesByType('resource').map((one) => new URL(one.name).pathname)"
    )
    scripts = [path for path in loaded if path.endswith(".js")]
    said = httpx.get(url, headers={"accept": "text/html"}).text
    assert scripts and all(f'"{path}"' in said for path in scripts)


@pytest.mark.parametrize("path", ["/", "/admin/", "/admin/capture/call/", "/api/schema/view"])
def test_no_page_breaks_its_policy(one_call: Ledger, open_page: Open, path: str) -> None:
    page = open_page(one_call.url + path)
    page.wait_for_load_state("networkidle")
    policy = one_call.get(path, headers={"accept": "text/html"}).headers["content-security-policy"]
    assert "default-src 'none'" in policy and re.search("script-src 'self'(;|$)", policy)
    assert ("'unsafe-inline'" in policy) == (path == "/api/schema/view")


def test_files_are_kept_for_good(one_call: Ledger) -> None:
    page = one_call.get("/", headers={"accept": "text/html"})
    files = re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text)
    assert len(files) > 3
    for path in files:
        response = one_call.get(path)
        assert response.status_code == 200, path
        assert re.match(r"/static/[0-9a-f]{12}/", path)
        assert "immutable" in response.headers["cache-control"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_is_accessible(one_call: Ledger, open_page: Open, theme: str) -> None:
    page = open_page(one_call.url, color_scheme=theme)
    assert violations(page) == []


def test_a_narrow_screen_does_not_scroll_sideways(one_call: Ledger, open_page: Open) -> None:
    page = open_page(one_call.url, viewport={"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
