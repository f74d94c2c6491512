"""Whatever names agents give, and whatever stands in an address: no page, API route or list of the
admin fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest

from tests.support.ledger import Ledger, wait_until
from tests.support.raw import exchange

ODD_TEXTS = (
    *("", " ", "0", "-1", "1.5", str(2**31), str(2**63), "9" * 400, "1e999", "NaN", "Infinity"),
    *(
        "\0",
        "\ud800",
        "\u202e",
        "\ufffe",
        "é",
        "..",
        "../..",
        "%",
        "%2F",
        "' OR 1=1 --",
        "\\",
        "a,b,,",
    ),
    *(
        "0001-01-01",
        "9999-12-31T23:59:59-23:59",
        "2026-02-30",
        "x" * 3000,
        "[1",
        "{}",
        "a:b:c",
        "null",
    ),
)
ADMIN_LISTS = (
    *("capture/call", "capture/session", "capture/stop", "access/token", "access/auditentry"),
    *("capture/tombstone", "capture/binary", "capture/ledger"),
)
ADMIN_PARAMETERS = (
    *("q", "o", "p", "all", "e", "_popup", "_to_field", "_facets", "_changelist_filters"),
    *("timestamp__year", "timestamp__month", "timestamp__day", "timestamp__gte", "at__year"),
    *("id__exact", "pk__in", "seq__gt", "cost_usd__lt", "session__session_id__exact", "scope"),
    *("role__exact", "action", "lifted_at__isempty", "revoked_at__isempty"),
)


def quoted(text: str) -> str:
    return quote(text.encode(errors="surrogatepass"), safe="")


def api_addresses(ledger: Ledger) -> Iterator[str]:
    """Yields each GET of the API with an odd value in each of its parameters, one at a time."""
    schema = ledger.get("/api/schema", headers={"accept": "application/json"}).json()
    for path, operations in schema["paths"].items():
        operation = operations.get("get")
        if operation is None:
            continue
        parameters = operation.get("parameters", [])
        names = {p["name"]: "s" for p in parameters if p["in"] == "path"}
        for parameter in parameters:
            for odd in ODD_TEXTS:
                if parameter["in"] == "path":
                    yield path.format(**{**names, parameter["name"]: quoted(odd)})
                else:
                    name = parameter["name"]
                    yield f"{path.format(**names)}?{name}={quoted(odd)}"
                    yield f"{path.format(**names)}?{name}={quoted(odd)}&{name}=%ff"


def page_addresses() -> Iterator[str]:
    places = ("/session/{}", "/explain/{}", "/dashboard/calls/{}/", "/dashboard/calls/{}/peek")
    more = ("/dashboard/sessions/{}/", "/admin/capture/call/{}/change/", "/admin/{}/", "/static/{}")
    for place in (
        *places,
        *more,
        "/dashboard/flow/?session={}",
        "/dashboard/trace.json?session={}",
    ):
        for odd in ODD_TEXTS:
            yield place.format(quoted(odd))


def admin_addresses() -> Iterator[str]:
    for list_ in ADMIN_LISTS:
        for name in ADMIN_PARAMETERS:
            for odd in ODD_TEXTS[::3]:
                yield f"/admin/{list_}/?{name}={quoted(odd)}"


def failures(ledger: Ledger, addresses: Iterator[str]) -> list[str]:
    found = []
    with httpx.Client(base_url=ledger.url, timeout=60, follow_redirects=True) as client:
        for address in addresses:
            response = client.get(address)
            if response.status_code >= 500:
                found.append(f"{address}: {response.status_code}")
    return found


ODD_NAMES = (
    *(b"a/b", b"..", b"?x=1", b"%2F", b"%ff", b"#", b"<script>", b"{}", b"0", b"null", b"a:b,c"),
    *(
        b"\xff\xfe",
        "\u202eé😀".encode(),
        b"a\tb",
        b"x" * 3000,
        b'"quoted"',
        b"'; --",
        b"-1",
        b"NaN",
    ),
)


def send_call(ledger: Ledger, name: bytes) -> None:
    """Sends a call in which everything that has a name has this one."""
    model = json.dumps({"model": name.decode(errors="replace"), "messages": []}).encode()
    fields = (b"session-id", b"agent-name", b"user-id", b"parent-action-id", b"handoff-from")
    head = [b"x-agentledger-%b: %b" % (field, name) for field in fields]
    lines = [b"POST /v1/chat/completions HTTP/1.1", b"host: localhost", *head]
    lines += [b"content-type: application/json", b"content-length: %d" % len(model)]
    response = exchange(ledger.url, b"\r\n".join([*lines, b"", model]))
    assert response.status == 200, name


def test_every_page_shows_every_name(stack: Ledger) -> None:
    n_before = stack.n_recorded()
    for name in ODD_NAMES:
        send_call(stack, name)
    wait_until(lambda: stack.n_recorded() == n_before + len(ODD_NAMES))
    found = []
    for session in stack.sessions():
        quoted_id = quoted(session["session_id"])
        for place in ("/session/{}", "/api/sessions/{}", "/dashboard/sessions/{}/"):
            found.append(place.format(quoted_id))
        for place in ("flow/", "flow.json", "trace/", "trace.json", "calls.json", "calls.csv"):
            found.append(f"/dashboard/{place}?session={quoted_id}")
        for parameter in ("agent", "model", "user"):
            found.append(f"/dashboard/calls.json?{parameter}={quoted_id}")
    found += ["/", "/dashboard/analytics/", "/dashboard/calls/facets", "/dashboard/search/?q=x"]
    assert failures(stack, iter(found)) == []


def test_a_filter_of_the_admin_by_what_no_column_holds_is_left_out(stack: Ledger) -> None:
    for query in (f"timestamp__year={2**63}", "timestamp__gte=9999-12-31T23:59:59-23:59"):
        response = stack.get(f"/admin/capture/call/?{query}", follow_redirects=True)
        assert (response.status_code, str(response.url).partition("?")[2]) == (200, "e=1")


@pytest.mark.e2e
@pytest.mark.parametrize("addresses", ["api", "pages", "admin"])
def test_an_address_may_hold_anything(stack: Ledger, addresses: str) -> None:
    stack.post("s").raise_for_status()
    wait_until(lambda: stack.n_recorded() >= 1)
    found = {"api": lambda: api_addresses(stack), "pages": page_addresses, "admin": admin_addresses}
    assert failures(stack, found[addresses]()) == []
