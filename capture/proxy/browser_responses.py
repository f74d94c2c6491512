"""The headers with which responses go to a browser's pages."""

from __future__ import annotations

from capture.proxy.browser_requests import ASKS_METHOD, BrowserRequest
from capture.proxy.forwarded_call import REMAINING
from capture.proxy.http_messages import ProxyResponse
from capture.proxy.responses import ACTION_ID
from capture.wire.types import WireFormat

_MAX_AGE_S = b"600"
_ALLOW_ORIGIN = b"access-control-allow-origin"
_ASKS_HEADERS = b"access-control-request-headers"
_ASKS_NETWORK = b"access-control-request-private-network"
_WITHHELD = "the origin of this page is not in AGENTLEDGER_ALLOW_BROWSERS, so no more is told here"
_OWN_HEADERS = b", ".join((ACTION_ID, REMAINING))


def allow_preflight(request: BrowserRequest) -> ProxyResponse:
    """Returns our own response to a preflight of an allowed origin: it comes without the ingest
    key, and many upstreams have no response to it."""
    headers = [
        (b"access-control-allow-methods", request.headers[ASKS_METHOD]),
        (b"access-control-max-age", _MAX_AGE_S),
    ]
    if _ASKS_HEADERS in request.headers:
        headers.append((b"access-control-allow-headers", request.headers[_ASKS_HEADERS]))
    if _ASKS_NETWORK in request.headers:
        headers.append((b"access-control-allow-private-network", b"true"))
    return ProxyResponse(204, headers)


def show_refusal(request: BrowserRequest, response: ProxyResponse, wire_format: WireFormat) -> None:
    """Lets a page of an origin that is not allowed read that we refused its call, and by which
    code, but none of our words: docs/decisions/refusals-to-foreign-pages.md."""
    if response.error_code is None or not request.origin or request.is_of_our_origin:
        return
    if not request.is_asked_first or request.is_without_cors:
        return
    response.body = wire_format.error_body(
        f"AgentLedger: {response.error_code}; {_WITHHELD}",
        type="api_error",
        code=response.error_code,
        request_id="",
    )
    kept = [pair for pair in response.raw_headers if pair[0] != b"content-length"]
    response.raw_headers = [
        *kept,
        (b"content-length", b"%d" % len(response.body)),
        (_ALLOW_ORIGIN, request.headers[b"origin"]),
        (b"vary", b"origin"),
    ]


def add_headers(request: BrowserRequest, response: ProxyResponse, *, is_allowed: bool) -> None:
    """Adds what lets a page of an allowed origin read the response, unless the provider has decided
    that; and what disarms a response that is kept: a browser may show it later, without asking."""
    headers = response.raw_headers
    if is_allowed:
        if any(name == _ALLOW_ORIGIN for name, _ in headers):
            exposed = _OWN_HEADERS
        else:
            exposed = b"*"
            origin = request.headers[b"origin"]
            headers = [*headers, (_ALLOW_ORIGIN, origin), (b"vary", b"origin")]
        headers = [*headers, (b"access-control-expose-headers", exposed)]
    if request.method == "GET" and request.is_from_browser:
        headers = [*headers, (b"content-security-policy", b"sandbox")]
    response.raw_headers = headers
