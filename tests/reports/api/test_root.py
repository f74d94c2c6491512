"""GET /api/: the browsable root, a page for people and links for programs."""

from __future__ import annotations

import httpx

from tests.support.ledger import Ledger
from tests.support.provider import Provider

RESOURCES = ("sessions search analytics limits stops audit checkpoints schema schema/view").split()


def test_a_program_gets_links_that_lead_to_the_resources(
    ledger: Ledger, provider: Provider
) -> None:
    links = ledger.get("/api/").raise_for_status().json()
    assert list(links) == RESOURCES
    for name, url in links.items():
        assert url == f"{ledger.url}/api/{name}"
        response = httpx.get(url, params={"q": "word"} if name == "search" else {})
        assert response.status_code == 200, url


def test_a_person_gets_a_page_with_these_links(ledger: Ledger, provider: Provider) -> None:
    page = ledger.get("/api/", headers={"accept": "text/html"})
    assert page.headers["content-type"].startswith("text/html")
    for name in RESOURCES:
        assert f'href="{ledger.url}/api/{name}"' in page.text


def test_the_root_takes_no_parameters(ledger: Ledger, provider: Provider) -> None:
    assert ledger.get("/api/?page=1").json() == {"page": ["is not a parameter here; known: none"]}


def test_other_paths_of_api_are_the_providers(ledger: Ledger, provider: Provider) -> None:
    for path in ("/api/chat", "/api/sessionsx", "/api/v1/api"):
        assert ledger.get(path).status_code == 200
    targets = [request.target for request in provider.requests()]
    assert targets == ["/api/chat", "/api/sessionsx", "/api/v1/api"]
