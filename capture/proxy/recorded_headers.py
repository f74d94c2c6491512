"""The parts of request lines and headers that are recorded. A credential never touches a disk: an
allow-list says which values are recorded. All other headers and query parameters leave only their
names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from capture.upstream.headers import RawHeaders

REQUEST_HEADERS = frozenset(
    """accept accept-encoding anthropic-beta anthropic-version content-encoding content-length
    content-type openai-beta traceparent user-agent x-request-id""".split()
)
RESPONSE_HEADERS = frozenset(
    """anthropic-organization-id apim-request-id cf-ray content-encoding content-length content-type
    date openai-organization openai-processing-ms openai-version request-id retry-after
    retry-after-ms server via x-generation-id x-ms-region x-request-id x-should-retry""".split()
)
REQUEST_PREFIXES = ("x-stainless-",)
RESPONSE_PREFIXES = ("x-ratelimit-", "anthropic-ratelimit-", "x-amzn-bedrock-")
QUERY_PARAMETERS = frozenset(
    b"""after alt api-version before beta deployment include limit model order starting_after
    stream""".split()
)

# The fields that an agent sends with a call, by header name without the prefix.
LEDGER_PREFIX = "x-agentledger-"
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
_LEDGER_HEADERS = {f"{LEDGER_PREFIX}{name}".encode(): f for name, f in LEDGER_FIELDS.items()}
MAX_FIELD = 512  # characters

_SEPARATOR = re.compile(rb"[&;]")


def request_headers(headers: RawHeaders) -> list[tuple[str, str]]:
    return _redact_headers(headers, REQUEST_HEADERS, REQUEST_PREFIXES)


def response_headers(headers: RawHeaders) -> list[tuple[str, str]]:
    return _redact_headers(headers, RESPONSE_HEADERS, RESPONSE_PREFIXES)


def _redact_headers(
    headers: RawHeaders, names: frozenset[str], prefixes: tuple[str, ...]
) -> list[tuple[str, str]]:
    recorded = []
    for name, value in headers:
        text, with_value = _name_and_rule(name, names, prefixes)
        recorded.append((text, value.decode("latin-1") if with_value else ""))
    return recorded


@lru_cache(4096)
def _name_and_rule(
    name: bytes, names: frozenset[str], prefixes: tuple[str, ...]
) -> tuple[str, bool]:
    """Returns a header's name as text, and whether its value is recorded."""
    text = name.decode("latin-1")
    return text, text in names or text.startswith(prefixes)


def target(raw: bytes) -> str:
    """Returns the request target as it is recorded: `/v1/x?alt=sse&key=`."""
    path, _, query = raw.partition(b"?")
    if not query:
        return path.decode("latin-1")
    return f"{path.decode('latin-1')}?{'&'.join(_redact_parameters(query))}"


def _redact_parameters(query: bytes) -> Iterable[str]:
    for parameter in _SEPARATOR.split(query):
        name, separator, _ = parameter.partition(b"=")
        if unquote_to_bytes(name) in QUERY_PARAMETERS:
            recorded = parameter
        else:  # a name without a value may itself be a credential: only its place is recorded
            recorded = name + separator if separator else b""
        yield recorded.decode("latin-1")


def ledger_fields(headers: RawHeaders) -> dict[str, str]:
    """Returns the x-agentledger-* fields of a request. Odd values are cut or dropped, never an
    error. Of several headers with one name the first counts."""
    fields: dict[str, str] = {}
    for name, value in headers:
        if name in _LEDGER_HEADERS:
            text = _clean(value)
            if text:
                fields.setdefault(_LEDGER_HEADERS[name], text)
    return fields


def _clean(value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:  # older HTTP libraries send ISO 8859-1
        text = value.decode("latin-1")
    if not text.isprintable():
        text = "".join(c for c in text if unicodedata.category(c) not in ("Cc", "Cs"))
    return text.strip()[:MAX_FIELD].strip()
