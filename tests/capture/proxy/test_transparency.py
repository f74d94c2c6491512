"""Transparency: a request is the same at the provider whether it was sent directly or through the
proxy, and its response is the same at the agent."""

from __future__ import annotations

import gzip
import threading
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import canned
from tests.support.ledger import Ledger, wait_until
from tests.support.provider import Provider, Received
from tests.support.raw import RawResponse, connect, exchange, request

RECORDED, PASSED = "/v1/chat/completions", "/v1/other"
BODY = b'{"model": "m", "messages": []}'
JSON = [("content-type", "application/json")]

# These describe one hop, or belong to one end.
HOP = {"host", "connection", "transfer-encoding", "content-length", "expect", "keep-alive"}
FRAMING = {b"connection", b"transfer-encoding", b"keep-alive", b"x-agentledger-action-id"}


@pytest.fixture(scope="module", params=["daphne", "uvicorn"])
def proxy(
    request: pytest.FixtureRequest, _provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ledger]:
    folder = tmp_path_factory.mktemp(request.param)
    with Ledger(folder, _provider.url, server=request.param) as ledger:
        yield ledger
    _provider.reset()  # of the last generated exchange, for the modules after this one


def received_fields(received: Received) -> dict[str, Any]:
    headers: dict[str, list[str]] = {}
    for name, value in received.headers:
        if name.lower() not in HOP:
            headers.setdefault(name.lower(), []).append(value)
    return {
        "method": received.method,
        "target": received.target,
        "headers": headers,
        "order": [name.lower() for name, _ in received.headers if name.lower() not in HOP],
        "size": received.size,
        "sha256": received.sha256,
    }


def response_fields(response: RawResponse) -> dict[str, Any]:
    return {
        "status": response.status,
        "headers": [(name, value) for name, value in response.headers if name not in FRAMING],
        "body": response.body,
        "whole": response.whole,
    }


def compare(proxy: Ledger, provider: Provider, sent: bytes, method: str) -> RawResponse:
    """Sends `sent` both ways: neither end may see a difference. Returns the proxy's response."""
    straight = exchange(provider.url, sent, method=method)
    through = exchange(proxy.url, sent, method=method)
    first, second = provider.requests()[-2:]
    one, other = received_fields(first), received_fields(second)
    one_response, other_response = response_fields(straight), response_fields(through)
    if proxy.server == "daphne":  # Twisted groups headers by name, each in its order of values
        for fields in (one, other):
            fields["order"].sort()
        for fields in (one_response, other_response):
            fields["headers"].sort(key=lambda header: header[0])
    assert one == other
    assert one_response == other_response
    return through


# --- requests ---

REQUESTS = {
    "a call": request("POST", RECORDED, JSON, BODY),
    "a call without any header of its own": request("POST", RECORDED, None, BODY),
    "a call in chunks": request("POST", RECORDED, JSON, chunks=[BODY[:9], BODY[9:]]),
    "a call to a prefixed path": request("POST", "/openai/deployments/x" + RECORDED, JSON, BODY),
    "a call with a query": request("POST", RECORDED + "?api-version=2&beta=true", JSON, BODY),
    "a compressed call": request(
        "POST", RECORDED, [*JSON, ("content-encoding", "gzip")], gzip.compress(BODY)
    ),
    "a call with Expect": request("POST", RECORDED, [*JSON, ("expect", "100-continue")], BODY),
    "a call that is no JSON": request("POST", RECORDED, JSON, b"\x00\xff not JSON"),
    "a call with an empty body": request("POST", RECORDED, JSON, b""),
    "credentials": request(
        "POST",
        RECORDED,
        [*JSON, ("authorization", "Bearer sk-1"), ("x-api-key", "k"), ("cookie", "a=1; b=2")],
        BODY,
    ),
    "GET": request("GET", "/v1/models"),
    "HEAD": request("HEAD", "/v1/models"),
    "OPTIONS": request("OPTIONS", "/v1/models", [("origin", "http://a")]),
    "DELETE": request("DELETE", "/v1/files/1"),
    "DELETE with a body": request("DELETE", "/v1/files/1", JSON, b"{}"),
    "PUT": request("PUT", "/v1/files/1", None, b"data"),
    "PATCH": request("PATCH", "/v1/files/1", JSON, b"{}"),
    "a method nobody knows": request("REPORT", "/v1/files/1", JSON, b"{}"),
    "GET with a body": request("GET", "/v1/search", JSON, b'{"q": 1}'),
    "POST with a length of 0": request("POST", PASSED, None, b""),
    "escapes and repeated parameters": request("GET", "/v1/files/f%2F1?a=1&a=2&b=%20x"),
    "dots that are escaped": request("GET", "/v1/%2e%2e/x"),
    "lower- and upper-case escapes": request("GET", "/v1/%c3%A9%2f%2F"),
    "double slashes": request("GET", "//v1//files//"),
    "path parameters": request("GET", "/v1/files;v=1/x;y=2"),
    "an empty query value": request("GET", "/v1/files?a=&b&=c&&"),
    "plus and space": request("GET", "/v1/files?q=a+b%20c%2B"),
    "a colon and an at sign": request("GET", "/v1beta/models/x:generate@y"),
    "characters that URLs should escape": request("GET", "/v1/{x}|y^z?q=[1]`'\""),
    "a very long target": request("GET", "/v1/" + "x" * 6000 + "?" + "y" * 6000),
    "a hash in escapes": request("GET", "/v1/files/%23?x=%23"),
    "repeated headers": request("GET", "/v1/x", [("x-a", "1"), ("x-b", "2"), ("x-a", "3")]),
    "a Latin-1 header value": request("GET", "/v1/x", [("x-title", b"Jos\xe9")]),
    "a UTF-8 header value": request("GET", "/v1/x", [("x-title", "José".encode())]),
    "a header value with 0x85": request("GET", "/v1/x", [("x-name", "\u00c5sa".encode())]),
    "an empty header value": request("GET", "/v1/x", [("x-empty", "")]),
    "an underscore in a header name": request("GET", "/v1/x", [("x_odd_name", "1")]),
    "a long header value": request("GET", "/v1/x", [("x-long", "v" * 30_000)]),
    "many headers": request("GET", "/v1/x", [(f"x-{n}", str(n)) for n in range(90)]),
    "user agent and accept": request(
        "GET", "/v1/x", [("user-agent", "u/1"), ("accept", "*/*"), ("accept-encoding", "br, gzip")]
    ),
    "multipart": request(
        "POST",
        "/v1/audio/transcriptions",
        [("content-type", "multipart/form-data; boundary=b")],
        b'--b\r\ncontent-disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--b--\r\n',
    ),
    "a form": request(
        "POST", PASSED, [("content-type", "application/x-www-form-urlencoded")], b"a=1&a=2"
    ),
    "an upload in chunks": request("POST", PASSED, None, chunks=[b"a" * 70_000, b"", b"b" * 9]),
    "traceparent": request("POST", RECORDED, [*JSON, ("traceparent", "00-ab-cd-01")], BODY),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_the_provider_gets_what_the_agent_sent(
    proxy: Ledger, provider: Provider, name: str
) -> None:
    sent = REQUESTS[name]
    method = sent.split(b" ")[0].decode()
    provider.response(*canned.whole(b"{}"))
    if method == "HEAD":
        provider.reset()
        provider.response(canned.send(canned.head(200, [*JSON, ("content-length", "2")])))
    compare(proxy, provider, sent, method)


def test_control_characters_in_a_header_are_carried(proxy: Ledger, provider: Provider) -> None:
    provider.response(*canned.whole(b"{}"))
    sent = request("GET", "/v1/x", [("x-a", b"1\x01\x0b\x1c\x1f2")])
    if proxy.server == "uvicorn":  # its parser refuses them
        assert exchange(proxy.url, sent).status == 400
    else:
        compare(proxy, provider, sent, "GET")


@pytest.mark.parametrize("target", ["/v1/x#part", "/v1/x#", "/v1/x?a=1#b?c#d", "/v1/x?#"])
def test_a_hash_in_a_target_is_carried(proxy: Ledger, provider: Provider, target: str) -> None:
    provider.response(*canned.whole(b"{}"))
    sent = request("GET", target)
    if proxy.server == "uvicorn":  # its parser cuts the target there
        assert exchange(proxy.url, sent).status == 200
        [received] = provider.requests()
        assert received.target == target.partition("#")[0].rstrip("?")
    else:
        compare(proxy, provider, sent, "GET")


def test_bytes_that_no_target_may_have_are_refused(proxy: Ledger, provider: Provider) -> None:
    for target in (b"/v1/\xc3\xa4", b"/v1/x?q=\xc3\xa4"):
        assert exchange(proxy.url, request("GET", target), method="GET").status == 400
    assert provider.counts()["received"] == 0


def test_our_own_headers_do_not_reach_the_provider(proxy: Ledger, provider: Provider) -> None:
    for path in (RECORDED, PASSED):
        headers = [*JSON, ("x-agentledger-session-id", "s"), ("x-agentledger-odd", "1")]
        exchange(proxy.url, request("POST", path, headers, BODY))
        names = [name.lower() for name, _ in provider.requests()[-1].headers]
        assert not [name for name in names if name.startswith("x-agentledger")]


def test_headers_named_by_connection_stay_on_their_hop(proxy: Ledger, provider: Provider) -> None:
    headers = [("connection", "close, x-hop"), ("x-hop", "1"), ("x-end", "2"), ("te", "trailers")]
    exchange(proxy.url, request("GET", "/v1/x", headers), method="GET")
    received = provider.requests()[-1]
    assert (received.header("x-hop"), received.header("te")) == ([], [])
    assert received.header("x-end") == ["2"]


# --- responses ---

EMPTY: list[tuple[str, str]] = []
RESPONSES = {
    **{
        f"status {status}": canned.whole(b'{"a": 1}', status)
        for status in (200, 201, 202, 206, 400, 401, 404, 409, 418, 422, 500, 503, 529)
    },
    "204": [canned.send(canned.head(204, [("x-a", "1")]))],
    "304": [canned.send(canned.head(304, [("etag", '"x"')]))],
    "a redirect": canned.whole(b"", 307, [("location", "http://elsewhere/")]),
    "429 with retry-after": canned.whole(b"{}", 429, [("retry-after", "7"), *JSON]),
    "two cookies": canned.whole(b"{}", headers=[("set-cookie", "a=1"), ("set-cookie", "b=2")]),
    "odd headers": canned.whole(b"{}", headers=[("X-ODD_Name", "1"), ("x-empty", "")]),
    "a Latin-1 header": canned.whole(b"{}", headers=[("x-name", "Jos\xe9")]),
    "an empty body": canned.whole(b"", headers=EMPTY),
    "no content-type": canned.whole(b"{}", headers=EMPTY),
    "binary": canned.whole(bytes(range(256)) * 50, headers=[("content-type", "audio/mpeg")]),
    "gzip": canned.whole(gzip.compress(BODY), headers=[*JSON, ("content-encoding", "gzip")]),
    "broken gzip": canned.whole(b"\x1f\x8bxx", headers=[*JSON, ("content-encoding", "gzip")]),
    "deflate": canned.whole(zlib.compress(BODY), headers=[("content-encoding", "deflate")]),
    "an unknown encoding": canned.whole(b"xyz", headers=[("content-encoding", "odd")]),
    "chunks": canned.stream([b"a", b"bb" * 4000, b"\x00\xff"], headers=EMPTY),
    "server-sent events": canned.stream(canned.data_events([{"choices": []}, {"x": "\u2028"}])),
    "NDJSON": canned.stream([b"{}\n", b"{}\n"], headers=[("content-type", "application/x-ndjson")]),
    "server and date": canned.whole(b"{}", headers=[("server", "s"), ("date", "never")]),
    "early hints before the response": [
        canned.send(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"),
        *canned.whole(b"{}"),
    ],
    "a long response": canned.whole(b"x" * 3_000_000, headers=EMPTY),
    "until the connection closes": [
        canned.send(canned.head(200, JSON) + b'{"a": 1}'),
        canned.CLOSE,
    ],
}


@pytest.mark.parametrize("path", [RECORDED, PASSED])
@pytest.mark.parametrize("name", RESPONSES)
def test_the_agent_gets_what_the_provider_sent(
    proxy: Ledger, provider: Provider, name: str, path: str
) -> None:
    provider.response(*RESPONSES[name])
    straight = exchange(provider.url, request("POST", path, JSON, BODY))
    through = exchange(proxy.url, request("POST", path, JSON, BODY))
    assert response_fields(straight) == response_fields(through)
    assert len(through.header(b"x-agentledger-action-id")) == (path == RECORDED)


CUT = {
    "a length cut short": [canned.send(canned.head(200, [("content-length", "99")]) + b"half")],
    "chunks without an end": canned.stream([b"one", b"two"])[:-1],
    "a chunk cut short": [*canned.stream([b"one"])[:-1], canned.send(b"ff\r\nhalf")],
}


@pytest.mark.parametrize("path", [RECORDED, PASSED])
@pytest.mark.parametrize("end", [canned.CLOSE, canned.RESET], ids=["close", "reset"])
@pytest.mark.parametrize("name", CUT)
def test_a_cut_response_does_not_look_whole(
    proxy: Ledger, provider: Provider, name: str, end: list[Any], path: str
) -> None:
    # The pause lets the first chunk arrive: a reset may overtake what was sent before it.
    provider.response(*CUT[name], canned.sleep(0.2), end)
    response = exchange(proxy.url, request("POST", path, JSON, BODY))
    assert response.status == 200
    assert not response.whole


@pytest.mark.parametrize("path", [RECORDED, PASSED])
def test_a_chunk_is_passed_on_when_it_arrives(proxy: Ledger, provider: Provider, path: str) -> None:
    provider.response(*canned.stream([b"data: first\n\n"])[:-1], canned.HANG)
    with connect(proxy.url) as connection:
        connection.sendall(request("POST", path, JSON, BODY))
        seen = b""
        while b"data: first\n\n" not in seen:
            piece = connection.recv(65536)
            assert piece
            seen += piece
    # The provider still holds back the rest: it learns that the agent hung up.
    wait_until(lambda: provider.counts()["aborted"] == 1)


def test_many_calls_on_one_connection(proxy: Ledger, provider: Provider) -> None:
    with connect(proxy.url) as connection, connection.makefile("rb") as file:
        for number in range(20):
            body = b'{"model": "m", "messages": [], "n": %d}' % number
            connection.sendall(request("POST", RECORDED, JSON, body))
            length = 0
            assert file.readline().startswith(b"HTTP/1.1 200")
            while (line := file.readline()) != b"\r\n":
                name, _, value = line.lower().partition(b":")
                length = int(value) if name == b"content-length" else length
            file.read(length)
    assert provider.counts()["received"] == 20


def test_calls_at_once_do_not_mix(proxy: Ledger, provider: Provider) -> None:
    responses: dict[int, RawResponse] = {}

    def call(number: int) -> None:
        body = b'{"messages": [{"role": "user", "content": "%d"}]}' % number
        sent = request("POST", RECORDED, JSON, body)
        responses[number] = exchange(proxy.url, sent)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(b'"echo: %d"' % n in responses[n].body for n in range(30))


def test_a_target_never_names_another_host(proxy: Ledger, provider: Provider) -> None:
    assert exchange(proxy.url, request("GET", "@127.0.0.1:1/x"), method="GET").status == 400
    assert provider.counts()["received"] == 0
    # As to a forward proxy: refused, or its path sent to our own upstream.
    response = exchange(proxy.url, request("GET", "http://127.0.0.1:1/x"), method="GET")
    if response.status == 200:
        assert [received.target for received in provider.requests()] == ["/x"]
    else:
        assert (response.status, provider.counts()["received"]) == (400, 0)


# --- whatever comes ---

TOKEN = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=12)
VALUE = st.binary(max_size=30).map(
    lambda raw: bytes(byte for byte in raw if byte >= 0x20 and byte != 0x7F).strip()
)
HEADERS = st.lists(st.tuples(TOKEN.map(lambda name: f"x-{name}"), VALUE), max_size=6)
TARGET_CHARACTERS = "abcXYZ019-._~!$&'()*+,;=:@%2F%20/"


@settings(max_examples=60, derandomize=True)
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH"]),
    target=st.text(TARGET_CHARACTERS, max_size=40),
    query=st.text(TARGET_CHARACTERS + "?", max_size=20),
    headers=HEADERS,
    body=st.none() | st.binary(max_size=2000),
    response_headers=HEADERS,
    pieces=st.lists(st.binary(min_size=1, max_size=3000), max_size=5),
    status=st.sampled_from([200, 201, 400, 404, 429, 500]),
    path=st.sampled_from(["/v1/x/", RECORDED + "/../"]),
)
def test_any_exchange_is_carried(
    proxy: Ledger,
    _provider: Provider,
    method: str,
    target: str,
    query: str,
    headers: list[tuple[str, bytes]],
    body: bytes | None,
    response_headers: list[tuple[str, bytes]],
    pieces: list[bytes],
    status: int,
    path: str,
) -> None:
    _provider.reset()
    fields = [(name, value.decode("latin-1")) for name, value in response_headers]
    _provider.response(*canned.stream(pieces, headers=fields, status=status))
    full = path + target.replace("%", "%25") + ("?" + query.replace("%", "%25") if query else "")
    compare(proxy, _provider, request(method, full, headers, body), method)
