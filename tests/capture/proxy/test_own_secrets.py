"""Our keys, tokens and cookies never reach an upstream, nor the record; all else stays."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from access import cookie
from capture.upstream.headers import is_own_cookie
from capture.upstream.own_secrets import OwnSecrets
from tests.support import canned
from tests.support.ledger import Ledger, wait_until
from tests.support.provider import Provider, Received
from tests.support.raw import exchange, request

KEY, INGEST = "the/api+key", "the-ingest-key"
TOKEN = "al_" + "Zy9-_" * 8 + "abc"
CALL = "/v1/chat/completions"
BODY = b'{"model": "m", "messages": [{"role": "user", "content": "al_' + b"x" * 43 + b'"}]}'


@pytest.fixture(scope="module", params=["daphne", "uvicorn"])
def proxy(
    request: pytest.FixtureRequest, _provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ledger]:
    env = {"AGENTLEDGER_API_KEY": KEY, "AGENTLEDGER_INGEST_KEY": INGEST}
    folder = tmp_path_factory.mktemp(request.param)
    with Ledger(folder, _provider.url, server=request.param, env=env) as ledger:
        yield ledger


def send(
    proxy: Ledger, provider: Provider, target: str, *headers: tuple[str, str], **more: Any
) -> Received:
    """Returns what the provider got of a call with these headers."""
    own = [("x-agentledger-ingest-key", INGEST), ("content-type", "application/json")]
    response = exchange(proxy.url, request("POST", target, [*own, *headers], BODY, **more))
    assert response.status == 200
    received = provider.requests()[-1]
    assert received.body == BODY
    return received


def has_ours(received: Received) -> bool:
    secrets = (KEY, quote(KEY, safe=""), INGEST, TOKEN)
    return any(secret in received.line + repr(received.headers) for secret in secrets)


HEADERS = {
    "a key": ("x-my-key", KEY, None),
    "a key with a scheme": ("authorization", f"Bearer {KEY}", None),
    "an ingest key with another scheme": ("authorization", f"token  {INGEST} ", None),
    "a token": ("x-api-key", TOKEN, None),
    "a token with a scheme": ("authorization", f"bearer {TOKEN}", None),
    "a token in a password": (
        "authorization",
        "Basic " + base64.b64encode(f"user:{TOKEN}".encode()).decode(),
        None,
    ),
    "a key in a password": (
        "authorization",
        "basic " + base64.b64encode(f"user:{KEY}".encode()).decode(),
        None,
    ),
    "a token in a text": ("user-agent", f"agent/1 ({TOKEN})", "agent/1 ()"),
    "another's key": ("authorization", "Bearer sk-1", "Bearer sk-1"),
    "another's password": ("authorization", "Basic dTpw", "Basic dTpw"),
    "what begins like a token": ("x-id", "al_short", "al_short"),
    "what is longer than a token": ("x-id", TOKEN + "x", TOKEN + "x"),
    "what has a key in it": ("x-id", f"{INGEST}s", f"{INGEST}s"),
    "our cookies": (
        "cookie",
        "agentledger=key:1; csrftoken=c; sessionid=s; messages=m; agentledger-device=d; tz=UTC",
        None,
    ),
    "our cookies among others": ("cookie", "a=1;agentledger=k; b=2 ;  c;", "a=1; b=2 ;  c;"),
    "our cookie before others": ("cookie", 'csrftoken=x; a="1"', 'a="1"'),
    "a token in a cookie": ("cookie", f'mine={TOKEN}; key="{KEY}"; b=2', "b=2"),
    "cookies like ours": ("cookie", "agent=1; csrftoken2=2", "agent=1; csrftoken2=2"),
    "a page before": (
        "referer",
        f"http://localhost/dashboard/?api_key={quote(KEY, safe='')}&session=a",
        "http://localhost/dashboard/?session=a",
    ),
    "a page before, with nothing but a key": (
        "referer",
        f"http://localhost/?api_key={TOKEN}",
        "http://localhost/",
    ),
    "a page before, with a link in it": (
        "referer",
        f"http://localhost/dashboard/sign-in?next={quote(quote(f'/?api_key={TOKEN}', safe=''))}",
        "http://localhost/dashboard/sign-in",
    ),
    "another page before": (
        "referer",
        "http://a/?api_key=another&&x=%20",
        "http://a/?api_key=another&&x=%20",
    ),
    "what a reverse proxy adds": ("x-original-uri", f"/v1/x?a=1&api_key={KEY}", "/v1/x?a=1"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers_lose_what_is_ours(proxy: Ledger, provider: Provider, name: str) -> None:
    header, value, expected = HEADERS[name]
    received = send(proxy, provider, CALL, ("x-before", "1"), (header, value), ("x-after", "2"))
    assert expected == value or not has_ours(received)
    assert received.header(header) == ([] if expected is None else [expected])
    assert (received.header("x-before"), received.header("x-after")) == (["1"], ["2"])


TARGETS = {
    f"{CALL}?api_key={quote(KEY, safe='')}": CALL,
    f"{CALL}?api_key={INGEST}&a=1&a=2": f"{CALL}?a=1&a=2",
    f"{CALL}?a=1;api_key={TOKEN};b": f"{CALL}?a=1;b",
    f"{CALL}?&a=1&&key={TOKEN}&": f"{CALL}?&a=1&&",
    f"{CALL}?{TOKEN}": CALL,
    f"{CALL}?key=al%5F{TOKEN[3:]}&b=%20+": f"{CALL}?b=%20+",
    f"{CALL}?next=%2F%3Fapi_key%3D{TOKEN}&x=": f"{CALL}?x=",
    f"{CALL}?key=the%252Fapi%252Bkey": CALL,
    f"/{TOKEN}{CALL}": f"/{CALL}",
    f"/al%5f{TOKEN[3:]}/a%2Fb{CALL}": f"//a%2Fb{CALL}",
    f"{CALL}?api_key=another&key=sk-1&a=%61": f"{CALL}?api_key=another&key=sk-1&a=%61",
}


@pytest.mark.parametrize("target", TARGETS)
def test_targets_lose_what_is_ours(proxy: Ledger, provider: Provider, target: str) -> None:
    received = send(proxy, provider, target)
    assert received.target == TARGETS[target]
    assert not has_ours(received)


def test_the_record_has_nothing_of_it(proxy: Ledger, provider: Provider) -> None:
    agent = ("user-agent", f"me {TOKEN}")
    session = ("x-agentledger-session-id", f"s {TOKEN}")
    send(proxy, provider, f"/{TOKEN}{CALL}?api-version={TOKEN}&limit=1", agent, session)
    headers = {"x-agentledger-api-key": KEY}

    def found() -> list[dict[str, Any]] | None:
        response = proxy.get("/session/s", headers=headers)
        return response.json() if response.status_code == 200 else None

    [call] = wait_until(found)
    assert TOKEN not in repr({**call, "messages": None, "request": None, "content": None})
    assert call["target"] == f"/{CALL}?limit=1"


def test_the_handshake_of_a_websocket_has_nothing_of_it(proxy: Ledger, provider: Provider) -> None:
    url = proxy.url.replace("http", "ws") + f"/v1/realtime?model=m&api_key={TOKEN}"
    headers = {
        "x-agentledger-ingest-key": INGEST,
        "cookie": "agentledger=k; a=1",
        "authorization": f"Bearer {KEY}",
        "referer": f"http://localhost/?api_key={TOKEN}",
    }
    offered: Any = ["realtime", f"openai-insecure-api-key.{TOKEN}", TOKEN]
    with suppress(InvalidStatus), connect(url, additional_headers=headers, subprotocols=offered):
        pass
    [received] = provider.requests()
    assert received.target == "/v1/realtime?model=m"
    assert received.header("sec-websocket-protocol") == ["realtime"]
    assert received.header("cookie") == ["a=1"]
    assert received.header("authorization") == []
    assert TOKEN not in repr(received.headers)


def test_no_upstream_sets_a_cookie_of_ours(proxy: Ledger, provider: Provider) -> None:
    cookies = [
        "agentledger=x; Path=/",
        "a=1",
        " csrftoken=x",
        "agentledger-device=1",
        "sessionid=s",
    ]
    provider.response(*canned.whole(b"{}", headers=[("set-cookie", value) for value in cookies]))
    headers = [("x-agentledger-ingest-key", INGEST)]
    for target in (CALL, "/v1/models"):
        response = exchange(proxy.url, request("POST", target, headers, b"{}"))
        assert response.header(b"set-cookie") == [b"a=1"]


def test_the_names_of_our_cookies_are_known() -> None:
    names = [settings.CSRF_COOKIE_NAME, settings.SESSION_COOKIE_NAME, "messages"]
    for name in [*names, cookie.NAME]:
        assert is_own_cookie(name.encode())


WORDS = st.text("abc&;=?%+ /_-", max_size=12).map(str.encode)
NAMES = st.sampled_from([b"cookie", b"referer", b"authorization", b"x-a", b"user-agent"])


@hypothesis_settings(max_examples=300, derandomize=True)
@given(st.lists(st.tuples(NAMES, WORDS), max_size=5), WORDS, st.booleans())
def test_what_is_not_ours_stays_byte_for_byte(
    headers: list[tuple[bytes, bytes]], query: bytes, has_own: bool
) -> None:
    secrets = OwnSecrets([KEY, INGEST])
    own = [(b"x-mine", TOKEN.encode())] if has_own else []
    kept = [(name, value) for name, value in headers if name != b"cookie" or value]
    assert secrets.remove([*own, *kept], b"/v1/x?" + query) == (kept, b"/v1/x?" + query)
