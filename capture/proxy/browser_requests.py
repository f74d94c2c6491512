"""Requests that a browser makes for a page, and those of them that are refused.

Providers share our origin: a document or a script of theirs would run with the rights of our
pages. So a browser gets no response of theirs that it would show or run, only one that a script
reads. What a page of another site sends without asking first is refused; whether it may read what
it asked for is the provider's decision, and ours where the operator allows its origin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from access.request_checks import is_local_name, parse_address
from capture.admission.decision import Refused
from capture.upstream.headers import RawHeaders

ANY_ORIGIN = "*"

_SIGNS = frozenset(
    (b"origin", b"sec-fetch-dest", b"sec-fetch-mode", b"sec-purpose", b"service-worker")
)
# Of requests that a script makes and reads: https://www.w3.org/TR/fetch-metadata/
_READ_BY_SCRIPTS = (None, b"empty", b"websocket")
# Java's HttpURLConnection, unless it is told otherwise. No browser's begins like this.
_JAVA_ACCEPTS = b"text/html, image/gif"
# What a page of another site may send without asking first, https://fetch.spec.whatwg.org/:
# neither of these types, nor one of these headers.
_FORM_TYPES = (b"", b"text/plain", b"application/x-www-form-urlencoded", b"multipart/form-data")
_ASKED_FOR = (b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key")

ASKS_METHOD = b"access-control-request-method"

_ADVICE = "; AGENTLEDGER_ALLOW_BROWSERS lists the origins that may"


@dataclass(frozen=True, slots=True)
class BrowserRequest:
    method: str
    headers: Mapping[bytes, bytes]

    @property
    def origin(self) -> str:
        """The origin of the page; empty where the browser names none."""
        return self.headers.get(b"origin", b"").decode("latin-1").lower()

    @property
    def is_of_our_origin(self) -> bool:
        host = self.headers.get(b"host", b"").decode("latin-1").lower()
        return self.origin.partition("://")[2] == host

    @property
    def is_preflight(self) -> bool:
        return self.method == "OPTIONS" and bool(self.origin) and ASKS_METHOD in self.headers

    @property
    def is_from_browser(self) -> bool:
        """Returns false for programs that set one of a browser's headers, as Node's fetch does."""
        return b"sec-fetch-dest" in self.headers or _names_browser(self.headers)

    @property
    def is_shown_or_run(self) -> bool:
        headers = self.headers
        mode, destination = headers.get(b"sec-fetch-mode"), headers.get(b"sec-fetch-dest")
        if mode is None and destination is None and accepts_page(headers):
            # Browsers say what a request is for over TLS and to loopback alone.
            return self.method in ("GET", "HEAD") or self._is_form
        is_script = headers.get(b"service-worker") == b"script"
        is_kept_for_later = b"sec-purpose" in headers
        is_read = destination in _READ_BY_SCRIPTS and mode != b"navigate"
        return is_script or is_kept_for_later or not is_read

    @property
    def is_without_cors(self) -> bool:
        return self.headers.get(b"sec-fetch-mode") == b"no-cors"

    @property
    def is_sent_unasked(self) -> bool:
        """Returns whether a page of another site sends this without a preflight, for its effect."""
        if not self.origin or self.is_of_our_origin or self.method != "POST":
            return False
        return not self.is_asked_first

    @property
    def is_asked_first(self) -> bool:
        """Returns whether a browser sends this for another site's page only after a preflight, as
        far as content type and credentials tell."""
        return not self._is_form or any(self._value_of(name) for name in _ASKED_FOR)

    @property
    def _is_form(self) -> bool:
        content_type = self.headers.get(b"content-type", b"")
        return content_type.partition(b";")[0].strip().lower() in _FORM_TYPES

    def _value_of(self, name: bytes) -> bytes:
        """Returns a header's value, without a password that the browser adds by itself."""
        value = self.headers.get(name, b"")
        return b"" if value[:6].lower() == b"basic " else value


def find_browser_request(method: str, headers: RawHeaders) -> BrowserRequest | None:
    """Returns None for a program's request."""
    found = dict(headers)
    if found.keys().isdisjoint(_SIGNS) and not accepts_page(found) and not _names_browser(found):
        return None
    return BrowserRequest(method, found)


def _names_browser(headers: Mapping[bytes, bytes]) -> bool:
    return headers.get(b"user-agent", b"").startswith(b"Mozilla/")


def accepts_page(headers: Mapping[bytes, bytes]) -> bool:
    accepted = headers.get(b"accept", b"").lower()
    return b"text/html" in accepted and not accepted.startswith(_JAVA_ACCEPTS)


@dataclass(frozen=True, slots=True)
class AllowedOrigins:
    """The origins whose pages may use the proxy in whatever way: those of this machine, and those
    that the operator lists."""

    listed: Sequence[str]

    def include(self, origin: str) -> bool:
        if not origin or origin == "null":  # of a sandboxed page, whatever site it is of
            return False
        return ANY_ORIGIN in self.listed or origin in self.listed or is_loopback(origin)


def is_loopback(origin: str) -> bool:
    try:
        url = urlsplit(origin)
    except ValueError:
        return False
    name = url.hostname or ""
    if url.scheme not in ("http", "https"):
        return False
    ip = parse_address(name)
    return is_local_name(name) or (ip is not None and ip.is_loopback)


def find_refusal(request: BrowserRequest, *, is_allowed: bool) -> Refused | None:
    if request.is_shown_or_run:
        return _refuse(
            "a browser may not open or embed a provider's path here: AgentLedger's pages share its"
            " address; call it with fetch or from a program"
        )
    if request.is_without_cors:
        return _refuse("a page may not send this in the mode no-cors")
    if request.is_sent_unasked and not is_allowed:
        return _refuse(f"a page of another site may not send this{_ADVICE}")
    return None


def find_socket_refusal(headers: RawHeaders, allowed: AllowedOrigins) -> Refused | None:
    """A page may open a WebSocket to any server, and no browser asks that server first."""
    request = BrowserRequest("GET", dict(headers))
    is_foreign = bool(request.origin) and not request.is_of_our_origin
    if not request.is_from_browser or not is_foreign or allowed.include(request.origin):
        return None
    return _refuse(f"a page of another site may not connect here{_ADVICE}")


def _refuse(message: str) -> Refused:
    return Refused(
        status=403, code="browser_refused", message=message, retry_after_s=None, may_retry=False
    )
