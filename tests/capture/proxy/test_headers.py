"""The eight x-agentledger-* headers, however odd; and credentials, which are never recorded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import canned
from tests.support.ledger import Ledger, wait_until
from tests.support.provider import Provider
from tests.support.raw import exchange, request

# What docs/fields.md and README.md promise, written down once more.
LEDGER_PREFIX = "x-agentledger-"
MAX_FIELD = 512
LEDGER_FIELDS = {
    "session-id": "session_id",
    "user-id": "user_id",
    "agent-name": "agent_name",
    "app-id": "app_id",
    "parent-action-id": "parent_action_id",
    "environment": "environment",
    "handoff-from": "handoff_from",
    "handoff-to": "handoff_to",
}
PATH = "/v1/chat/completions"
BODY = b'{"model": "m", "messages": [{"role": "user", "content": "hello"}]}'
JSON: list[tuple[str, str | bytes]] = [("content-type", "application/json")]


@pytest.fixture(scope="module", params=["daphne-sqlite", "uvicorn-sqlite"])
def proxy(
    request: pytest.FixtureRequest, _provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ledger]:
    server = request.param.split("-")[0]
    with Ledger(tmp_path_factory.mktemp(server), _provider.url, server=server) as ledger:
        yield ledger


def record(proxy: Ledger, headers: list[tuple[str, str | bytes]]) -> dict[str, object]:
    response = exchange(proxy.url, request("POST", PATH, [*JSON, *headers], BODY))
    assert response.status == 200
    return proxy.explain(response.header(b"x-agentledger-action-id")[0].decode())


ODD: dict[str, tuple[str | bytes, str | None]] = {
    "spaces around": ("  a b  ", "a b"),
    "empty": ("", None),
    "spaces alone": ("   ", None),
    "too long": ("x" * 5000, "x" * MAX_FIELD),
    "too long in UTF-8": ("漢".encode() * 600, "漢" * MAX_FIELD),
    "UTF-8": ("Åsa 漢字 🙂".encode(), "Åsa 漢字 🙂"),
    "Latin-1": (b"Jos\xe9", "José"),
    "a tab": ("a\tb", "ab"),
    "HTML": ("<b>", "<b>"),
    "a separator of JavaScript": ("a\u2028b".encode(), "a\u2028b"),
    "a right-to-left mark": ("a\u202eb".encode(), "a\u202eb"),
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("header", ["session-id", "agent-name", "environment"])
def test_odd_values_are_cut_or_dropped(
    proxy: Ledger, provider: Provider, header: str, name: str
) -> None:
    sent, expected = ODD[name]
    call = record(proxy, [(LEDGER_PREFIX + header, sent)])
    if header == "environment":
        expected = expected or "development"
    assert call[LEDGER_FIELDS[header]] == expected


def test_control_characters_are_dropped(ledger: Ledger, provider: Provider) -> None:
    call = record(ledger, [("x-agentledger-user-id", b"a\x01\x0b\x1b[31m\x7f\xc2\x85b")])
    assert call["user_id"] == "a[31mb"


def test_the_first_of_two_headers_counts(proxy: Ledger, provider: Provider) -> None:
    name = "x-agentledger-agent-name"
    assert record(proxy, [(name, "first"), (name, "second")])["agent_name"] == "first"
    assert record(proxy, [(name, ""), (name, "second")])["agent_name"] == "second"


def test_names_are_read_in_any_case(proxy: Ledger, provider: Provider) -> None:
    assert record(proxy, [("X-AgentLedger-App-ID", "a")])["app_id"] == "a"


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([LEDGER_PREFIX + name for name in [*LEDGER_FIELDS, "odd"]]),
            st.binary(max_size=600).map(
                lambda raw: bytes(byte for byte in raw if byte >= 0x20 and byte != 0x7F)
            ),
        ),
        max_size=12,
    )
)
def test_no_header_fails_a_call(
    proxy: Ledger, provider: Provider, headers: list[tuple[str, bytes]]
) -> None:
    call = record(proxy, list(headers))
    assert call["outcome"] == "completed"
    for field in LEDGER_FIELDS.values():
        assert len(str(call[field])) <= MAX_FIELD


# --- credentials ---

# RFC 9110 sections 7.6.1 and 11.7: these are for us as a proxy, whatever `connection` says.
FOR_ONE_HOP = (
    *("keep-alive", "te", "trailer", "upgrade", "proxy-connection", "proxy-authenticate"),
    *("proxy-authorization", "proxy-authentication-info"),
)


@pytest.mark.parametrize("name", FOR_ONE_HOP)
def test_what_is_meant_for_a_proxy_never_reaches_the_provider(
    proxy: Ledger, provider: Provider, name: str
) -> None:
    value = {"te": "trailers", "upgrade": "foo/2"}.get(name, "Basic c2VjcmV0OnNlY3JldA==")
    record(proxy, [(name.title(), value), ("x-custom", "kept")])
    [received] = provider.requests()
    names = {header.lower() for header, _ in received.headers}
    assert "x-custom" in names
    assert name not in names
    assert value not in {content for _, content in received.headers}


SECRET = "sk-secret-0123456789"


def bytes_on_disk(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_no_credential_touches_the_disk(fresh: Ledger, provider: Provider) -> None:
    provider.response(*canned.whole(b"{}", headers=[("set-cookie", SECRET), ("x-api-key", SECRET)]))
    names = ["Authorization", "x-api-key", "api-key", "cookie", "x-goog-api-key", "x-odd-token"]
    headers = {name: f"Bearer {SECRET}" for name in names}
    session = str(uuid4())
    with fresh:
        httpx.post(
            f"{fresh.url}{PATH}?api-version=2&key={SECRET}&code={SECRET}&{SECRET}&stream;{SECRET}",
            content=BODY,
            headers=headers | {"x-agentledger-session-id": session},
        )
        assert SECRET in "".join(v for _, v in provider.requests()[0].headers)
        call = fresh.call(session)
        fresh.recorder().suspend()
        httpx.post(f"{fresh.url}{PATH}", content=BODY, headers=headers)  # stays in the spool
        on_disk = bytes_on_disk(fresh.folder)
        fresh.recorder().resume()
        wait_until(lambda: not [s for s in fresh.spool.glob("*.spool") if s.stat().st_size > 4096])
    assert session.encode() in on_disk
    assert SECRET.encode() not in on_disk
    assert SECRET.encode() not in bytes_on_disk(fresh.folder)
    assert call["target"] == f"{PATH}?api-version=2&key=&code=&&stream&"
    assert ["authorization", None] in call["request_headers"]
