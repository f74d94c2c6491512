"""Which paths are ours: what is ours in any reading is served or refused by us, and no upstream
sees it; all other paths are the provider's, and recorded in their strictest reading."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest
from django.urls import Resolver404, resolve
from hypothesis import given, settings
from hypothesis import strategies as st

from agentledger_site.owned_paths import OWNED_PATHS, is_owned
from capture.wire import registry
from capture.wire.paths import normal_path, readings
from tests.support.ledger import Ledger
from tests.support.provider import Provider
from tests.support.raw import RawResponse, exchange, request

BODY = b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}'
JSON = [("content-type", "application/json")]
OURS = sorted(
    OWNED_PATHS
    | {"/session/a", "/explain/a", "/export/a", "/dashboard/", "/admin/x", "/static/x"}
    | {"/witness/x"}
)
CALL = "/v1/chat/completions"


def escaped(path: str, times: int = 1) -> str:
    """The path with each letter and dot as an escape, which is itself escaped from the second time
    on."""
    for _ in range(times):
        path = "".join(c if c == "/" else f"%{ord(c):02X}" for c in path)
    return path


VARIANTS: dict[str, Callable[[str], str]] = {
    "as it is": lambda path: path,
    "a slash at its end": lambda path: path.rstrip("/") + "/",
    "without that": lambda path: path.rstrip("/") or "//",
    "two slashes": lambda path: f"/{path}",
    "three slashes in it": lambda path: path.replace("/", "///"),
    "capitals": str.upper,
    "a dot segment": lambda path: f"/.{path}",
    "the segment above": lambda path: f"/x/..{path}",
    "above the root": lambda path: f"/../..{path}",
    "a dot at its end": lambda path: path.rstrip("/") + "/.",
    "escapes": escaped,
    "escapes of escapes": lambda path: escaped(path, 2),
    "escapes of escapes of escapes": lambda path: escaped(path, 3),
    "an escaped slash": lambda path: "/" + path[1:].replace("/", "%2f"),
    "an escaped slash before it": lambda path: f"/%2F{path[1:]}",
    "dots that are escaped": lambda path: f"/x/%2e%2E{path}",
    "a backslash": lambda path: f"/\\{path[1:]}",
    "an escaped backslash": lambda path: "/%5c" + path[1:].replace("/", "%5C"),
    "parameters": lambda path: path.rstrip("/") + ";a=1",
    "parameters of a segment above": lambda path: f"/x/..;a=1{path}",
    "an escaped question mark": lambda path: path.rstrip("/") + "%3Fa=1",
    "an escaped hash": lambda path: path.rstrip("/") + "%23a",
    "a control character": lambda path: path.rstrip("/") + "%00.json",
    "a blank": lambda path: path.rstrip("/") + "%20",
}


@pytest.fixture(scope="module", params=["daphne", "uvicorn"])
def proxy(
    request: pytest.FixtureRequest, _provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ledger]:
    folder: Path = tmp_path_factory.mktemp(request.param)
    env = {"AGENTLEDGER_MODELS_DENY": "gpt-4o"}
    with Ledger(folder, _provider.url, server=request.param, env=env) as ledger:
        yield ledger


def send(proxy: Ledger, method: str, target: str, **more: Any) -> RawResponse:
    return exchange(proxy.url, request(method, target, **more), method=method)


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_upstream_sees_a_path_of_ours(proxy: Ledger, provider: Provider, variant: str) -> None:
    for method in ("GET", "HEAD", "POST", "OPTIONS", "DELETE"):
        for path in OURS:
            target = VARIANTS[variant](path)
            response = send(proxy, method, target)
            assert response.status < 500, target
            assert not response.header(b"x-agentledger-action-id"), target
    assert [received.line for received in provider.requests()] == []


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_call_in_any_writing_is_admitted_and_forwarded_as_it_came(
    proxy: Ledger, provider: Provider, variant: str
) -> None:
    target = VARIANTS[variant](CALL)
    refused = send(proxy, "POST", target, headers=JSON, body=BODY)
    assert (refused.status, provider.requests()) == (403, [])
    allowed = send(proxy, "POST", target, headers=JSON, body=BODY.replace(b"4o", b"5"))
    [received] = provider.requests()
    assert received.target == target
    call = proxy.explain(allowed.header(b"x-agentledger-action-id")[0].decode())
    assert (call["model_id"], call["target"]) == ("gpt-5", target)


@pytest.mark.parametrize(
    "target",
    [
        "/v1beta/models/gpt-4o:generateContent",
        "/v1beta/models/gpt-5:generateContent/../gpt-4o:generateContent",
        "/v1beta/models/gpt%2D4o:generateContent",
        "/v1beta/models/gpt%252D4o:generateContent",
        "/V1BETA/MODELS/gpt-4o:GENERATECONTENT",
        "/v1beta/models/gpt-4o;x=1/..;/gpt-4o:generateContent",
        "/model/gpt%2D4o/Invoke",
        "/model//gpt-4o/./converse",
    ],
)
def test_a_model_in_the_path_is_read_from_any_writing(
    proxy: Ledger, provider: Provider, target: str
) -> None:
    assert send(proxy, "POST", target, headers=JSON, body=b"{}").status == 403
    assert provider.requests() == []


PROVIDERS = [
    *("/api/chat", "/api/tags", "/api/limits/x", "/sessions", "/sessionx", "/dashboard.json"),
    *("/v1/session/a", "/v1/admin/", "/to/default/health", "/healthz", "/api/v1/sessions", "/%25"),
]


@pytest.mark.parametrize("path", PROVIDERS)
def test_all_other_paths_are_the_providers(path: str) -> None:
    assert not is_owned(unquote(path))


# --- the rules themselves ---

SEGMENTS = [
    *("session", "dashboard", "admin", "api", "static", "ws", "v1", "chat", "completions"),
    *("health", "limits", "stops", "calls", "sessions", "", ".", "..", "x", "a;b", "\\", "%2f"),
    *("%2e%2e", "Ⅰ", "\u212a", "\n", "jsi18n", "capture", "sign-in", "flow.json", "%", "%25"),
]
PATHS = st.lists(
    st.one_of(st.sampled_from(SEGMENTS), st.text(max_size=3)), min_size=1, max_size=6
).map(lambda segments: "/" + "/".join(segments))


def is_served(path: str) -> bool:
    try:
        resolve(path)
    except Resolver404:
        return False
    return True


@settings(max_examples=800, derandomize=True)
@given(PATHS)
def test_what_django_serves_is_ours(path: str) -> None:
    assert is_owned(path) or not is_served(path)


@settings(max_examples=500, derandomize=True)
@given(PATHS, st.integers(0, 2))
def test_what_is_ours_is_so_in_escapes(path: str, times: int) -> None:
    written = path
    for _ in range(times):
        written = quote(written)
    if is_owned(path):
        assert is_owned(written)


@settings(max_examples=500, derandomize=True)
@given(PATHS)
def test_a_normal_path_is_its_own_reading(path: str) -> None:
    normal = normal_path(path)
    assert readings(path)[-1] == path
    if "%" not in normal:
        assert normal_path(normal) == normal


def test_a_very_long_path_is_read_too() -> None:
    path = "/%" + "25" * 30_000 + "2f/../session/a"
    assert registry.for_path("/" + "x/" * 30_000) is None
    assert is_owned(path)
