"""Every route × every role × no key × a wrong key × both ways of sending one."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from django.conf import settings
from django.urls import URLPattern, URLResolver, get_resolver, resolve

from access.request_checks import KEY_HEADER
from access.roles import Role
from tests.conftest import KEY, running_on
from tests.support.ledger import Ledger, wait_until

PROGRAM = {"accept": "application/json"}
# Beyond 403s of the admin itself: what access says of those whom it keeps out.
REFUSED = re.compile("missing or wrong|this requires the role")


def paths(resolver: URLResolver, prefix: str = "/") -> Iterator[str]:
    """A path for each route."""
    for entry in resolver.url_patterns:
        path = prefix + example_of(str(entry.pattern))
        if isinstance(entry, URLPattern):
            yield path
        else:
            yield from paths(entry, path)


def example_of(pattern: str) -> str:
    pattern = re.sub(r"<int:\w+>", "1", pattern)
    pattern = re.sub(r"<uuid:\w+>", "01890000-0000-7000-8000-000000000000", pattern)
    pattern = re.sub(r"<(\w+:)?\w+>(?!\w|\.|\()", "x", pattern) if "(?P" not in pattern else pattern
    pattern = re.sub(r"\(\?P<\w+>([^|)]*)[^)]*\)", r"\1", pattern).replace(".*", "x")
    return pattern.strip("^$").replace("\\Z", "")


# Who may read and who may change something, written down once more: a change of the table that the
# code reads is a change of this one. None: nothing can be changed there.
Roles = frozenset[Role]
VIEWERS = frozenset((Role.VIEWER, Role.EDITOR, Role.ADMIN))
EDITORS = frozenset((Role.EDITOR, Role.ADMIN))
ADMINS = frozenset((Role.ADMIN,))
OPEN = {"health", "readyz", "sign_in", "add_checkpoint", "witnessed_checkpoint"}
ROLES_OF_ROUTES: dict[str, tuple[Roles, Roles | None]] = {
    "index": (VIEWERS, None),
    "api_root": (VIEWERS, None),
    "sign_out": (VIEWERS, VIEWERS),
    "live": (VIEWERS, None),
    "sessions": (VIEWERS, None),
    "session": (VIEWERS, None),
    "explain": (VIEWERS, None),
    "export": (VIEWERS, None),
    "export_period": (VIEWERS, None),
    "export_many": (VIEWERS, None),
    "verifier": (VIEWERS, None),
    "session_report": (VIEWERS, None),
    "session_report_pdf": (VIEWERS, None),
    "search": (VIEWERS, None),
    "analytics": (VIEWERS, None),
    "limits": (VIEWERS, None),
    "schema": (VIEWERS, None),
    "schema_view": (VIEWERS, None),
    "dashboard_calls_json": (VIEWERS, None),
    "dashboard_calls_csv": (VIEWERS, None),
    "dashboard_calls_facets": (VIEWERS, None),
    "dashboard_search": (VIEWERS, None),
    "dashboard_search_count": (VIEWERS, None),
    "dashboard_search_json": (VIEWERS, None),
    "dashboard_search_csv": (VIEWERS, None),
    "dashboard_analytics": (VIEWERS, None),
    "dashboard_evidence": (VIEWERS, None),
    "dashboard_sessions": (VIEWERS, None),
    "dashboard_session": (VIEWERS, None),
    "dashboard_call": (VIEWERS, None),
    "dashboard_call_peek": (VIEWERS, None),
    "dashboard_thumbnail": (VIEWERS, None),
    "dashboard_flow": (VIEWERS, None),
    "dashboard_flow_json": (VIEWERS, None),
    "dashboard_flow_calls": (VIEWERS, None),
    "dashboard_trace": (VIEWERS, None),
    "dashboard_trace_json": (VIEWERS, None),
    "admin_without_slash": (VIEWERS, None),
    "one_session": (VIEWERS, EDITORS),
    "one_call": (VIEWERS, EDITORS),
    "stops": (VIEWERS, EDITORS),
    "one_stop": (VIEWERS, EDITORS),
    "audit": (ADMINS, None),
    "checkpoints": (VIEWERS, None),
    "latest_checkpoint": (VIEWERS, None),
    "log_key": (VIEWERS, None),
}
ROLES_OF_THE_ADMIN: dict[str, tuple[Roles, Roles]] = {
    "admin:": (VIEWERS, EDITORS),
    "admin:logout": (VIEWERS, VIEWERS),
    "admin:access_": (ADMINS, ADMINS),
}

ALL = sorted(paths(get_resolver()))


def test_every_route_is_in_the_table() -> None:
    names = {resolve(path).view_name for path in ALL}
    named = {name for name in names if not name.startswith("admin:")}
    # The WebSocket's route is no URL of Django's.
    assert named | {"live"} == OPEN | ROLES_OF_ROUTES.keys()


def test_a_route_that_has_no_rule_is_closed() -> None:
    assert settings.ROUTE_RULES.find("a_route_that_is_not_there") is None


def test_roles_rise() -> None:
    assert [[one.includes(other) for other in Role] for one in Role] == [
        [True, False, False, False],
        [False, True, False, False],
        [False, True, True, False],
        [False, True, True, True],
    ]


ROLES: dict[str, Role | None] = {
    "the key": Role.ADMIN,
    "viewer": Role.VIEWER,
    "editor": Role.EDITOR,
    "admin": Role.ADMIN,
    "ingest": Role.INGEST,
    "a wrong key": None,
    "no key": None,
}


@pytest.fixture(scope="module")
def keyed(request: pytest.FixtureRequest) -> Iterator[Ledger]:
    """Over SQLite alone: the table does not depend on the database. That tokens are found in both
    is tested with the tokens, that views answer over both with the views."""
    with running_on("daphne-sqlite", request, AGENTLEDGER_API_KEY=KEY) as ledger:
        yield ledger


@pytest.fixture(scope="module")
def secrets(keyed: Ledger) -> dict[str, str]:
    wait_until(lambda: keyed.get("/api/stops", headers={KEY_HEADER: KEY}).status_code == 200)
    made = {
        role.value: keyed.command(
            "token", "create", role.value, "--role", role.value
        ).stdout.strip()
        for role in Role
    }
    return {"the key": KEY, "a wrong key": "al_" + "x" * 43, **made}


@pytest.mark.parametrize("way", ["header", "cookie"])
@pytest.mark.parametrize("who", ROLES)
def test_who_may_do_what(keyed: Ledger, secrets: dict[str, str], who: str, way: str) -> None:
    headers = shown(keyed, secrets.get(who), way)
    # A token that may only send calls gets no cookie.
    role = None if (who, way) == ("ingest", "cookie") else ROLES[who]
    with httpx.Client(base_url=keyed.url, headers=PROGRAM | headers) as client:
        for path in ALL:
            for method in ("GET", "POST", "DELETE"):
                response = client.request(method, path)
                expected = status_of(resolve(path).view_name, method, role)
                said = (
                    f"{who} by {way}: {method} {path}: {response.status_code} {response.text[:200]}"
                )
                if expected is not None and not is_probe(path, method, response):
                    assert response.status_code == expected, said
                    assert expected == 405 or REFUSED.search(response.json()["detail"]), said
                elif expected is None:
                    assert response.status_code < 500, said
                    assert not (response.status_code == 401 and path != "/dashboard/sign-in"), said
                    assert not REFUSED.search(response.text) or path == "/dashboard/sign-in", said


def shown(ledger: Ledger, secret: str | None, way: str) -> dict[str, str]:
    if secret is None:
        return {}
    if way == "header":
        return {KEY_HEADER: secret}
    response = httpx.post(f"{ledger.url}/dashboard/sign-in", data={"api_key": secret})
    if "agentledger" not in response.cookies:
        return {"cookie": "agentledger=token:1:1xVxzU:XEeEgKWIV40nuXodvSQ4is_XhZNShGL4l0JtTFgL2pc"}
    token = "t" * 32
    cookies = f"agentledger={response.cookies['agentledger']}; csrftoken={token}"
    return {"cookie": cookies, "x-csrftoken": token}


def status_of(route: str, method: str, role: Role | None) -> int | None:
    """How access refuses; None: it does not."""
    if route in OPEN:
        return None
    to_read, to_write = ROLES_OF_ROUTES.get(route) or ROLES_OF_THE_ADMIN[prefix_of(route)]
    if role is None:
        return 401
    if role not in to_read:
        return 403
    if method == "GET":
        return None
    if to_write is None:
        return 405
    return None if role in to_write else 403


def prefix_of(route: str) -> str:
    return max((prefix for prefix in ROLES_OF_THE_ADMIN if route.startswith(prefix)), key=len)


def is_probe(path: str, method: str, response: httpx.Response) -> bool:
    return path == "/" and method == "GET" and response.text == "AgentLedger is running"


def test_without_a_key_nothing_is_served_through_a_proxy(ledger: Ledger) -> None:
    forwarded = {**PROGRAM, "x-forwarded-for": "127.0.0.1", "host": "localhost"}
    with httpx.Client(base_url=ledger.url, headers=forwarded) as client:
        for path in ALL:
            for method in ("GET", "POST", "DELETE"):
                if resolve(path).view_name not in OPEN:
                    response = client.request(method, path)
                    assert response.status_code == 403 or is_probe(path, method, response), path


def test_paths_without_a_route_need_the_role_of_a_reader(keyed: Ledger) -> None:
    for path in ("/api/sessions/x/y", "/export/x", "/dashboard/x", "/static/x"):
        assert keyed.get(path).status_code == 401
        assert keyed.get(path, headers={KEY_HEADER: KEY}).status_code == 404


def test_a_cookie_changes_nothing_without_the_token_of_a_page(
    keyed: Ledger, secrets: dict[str, str]
) -> None:
    cookie = shown(keyed, secrets["admin"], "cookie")["cookie"].partition(";")[0]
    body = {"scope": "session", "value": "csrf", "reason": "x"}
    url = f"{keyed.url}/api/stops"
    refused = httpx.post(url, json=body, headers={"cookie": cookie, "origin": keyed.url})
    assert refused.status_code == 403
    assert "X-CSRFToken" in refused.json()["detail"]
    token = {"cookie": f"{cookie}; csrftoken={'t' * 32}", "x-csrftoken": "t" * 32}
    assert httpx.post(url, json=body, headers=token).status_code == 201
    elsewhere = {**token, "origin": "http://evil.example"}
    assert httpx.post(url, json=body, headers=elsewhere).status_code == 403


def test_without_a_key_programs_need_no_token_and_pages_do(ledger: Ledger) -> None:
    url = f"{ledger.url}/api/stops"
    body = {"scope": "session", "value": "csrf", "reason": "x"}
    own = {"origin": ledger.url, "sec-fetch-site": "same-origin"}
    assert httpx.post(url, json=body, headers=own).status_code == 403
    token = {**own, "cookie": f"csrftoken={'t' * 32}", "x-csrftoken": "t" * 32}
    made = httpx.post(url, json=body, headers=token)
    assert made.status_code == 201
    assert httpx.delete(f"{url}/{made.json()['id']}").status_code == 200
