"""The headers with which responses go to a browser's pages."""

from __future__ import annotations

from capture.proxy.browser_requests import ASKS_METHOD, BrowserRequest
from capture.proxy.forwarded_call import REMAINING
from capture.proxy.http_messages import ProxyResponse
from capture.proxy.responses import ACTION_ID

_MAX_AGE_S = b"600"
_ALLOW_ORIGIN = b"access-control-allow-origin"
_ASKS_HEADERS = b"access-control-request-headers"
_ASKS_NETWORK = b"access-control-request-private-network"
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
