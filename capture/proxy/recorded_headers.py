"""What is kept of a request's and an answer's heads. A credential never touches a disk: values are
kept by an allow-list, all other headers and query parameters by name alone."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from urllib.parse import unquote_to_bytes

RawHeaders = Sequence[tuple[bytes, bytes]]

REQUEST_HEADERS = frozenset(
    """accept accept-encoding anthropic-beta anthropic-version content-encoding content-length
    content-type openai-beta traceparent user-agent x-request-id""".split()
)
ANSWER_HEADERS = frozenset(
    """anthropic-organization-id apim-request-id cf-ray content-encoding content-length content-type
    date openai-organization openai-processing-ms openai-version request-id retry-after
    retry-after-ms server via x-generation-id x-ms-region x-request-id x-should-retry""".split()
)
REQUEST_PREFIXES = ("x-stainless-",)
ANSWER_PREFIXES = ("x-ratelimit-", "anthropic-ratelimit-", "x-amzn-bedrock-")
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
    return _kept(headers, REQUEST_HEADERS, REQUEST_PREFIXES)


def response_headers(headers: RawHeaders) -> list[tuple[str, str]]:
    return _kept(headers, ANSWER_HEADERS, ANSWER_PREFIXES)


def _kept(
    headers: RawHeaders, names: frozenset[str], prefixes: tuple[str, ...]
) -> list[tuple[str, str]]:
    kept = []
    for name, value in headers:
        text, with_value = _named(name, names, prefixes)
        kept.append((text, value.decode("latin-1") if with_value else ""))
    return kept


@lru_cache(4096)
def _named(name: bytes, names: frozenset[str], prefixes: tuple[str, ...]) -> tuple[str, bool]:
    text = name.decode("latin-1")
    return text, text in names or text.startswith(prefixes)


def target(raw_path: bytes, query: bytes) -> str:
    """The request target as far as it is kept: `/v1/x?alt=sse&key=`."""
    path = raw_path.decode("latin-1")
    if not query:
        return path
    return f"{path}?{'&'.join(_kept_parameters(query))}"


def _kept_parameters(query: bytes) -> Iterable[str]:
    for parameter in _SEPARATOR.split(query):
        name, separator, _ = parameter.partition(b"=")
        if unquote_to_bytes(name) in QUERY_PARAMETERS:
            kept = parameter
        else:  # what stands alone may be a credential itself: nothing but its place is kept
            kept = name + separator if separator else b""
        yield kept.decode("latin-1")


def ledger_fields(headers: RawHeaders) -> dict[str, str]:
    """The x-agentledger-* fields of a request. What is odd is cut or dropped, never an error; of
    several headers of one name the first counts."""
    fields: dict[str, str] = {}
    for name, value in headers:
        if name in _LEDGER_HEADERS:
            cleaned = _cleaned(value)
            if cleaned:
                fields.setdefault(_LEDGER_HEADERS[name], cleaned)
    return fields


def _cleaned(value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:  # ISO 8859-1, which HTTP libraries used to send
        text = value.decode("latin-1")
    if not text.isprintable():
        text = "".join(c for c in text if unicodedata.category(c) not in ("Cc", "Cs"))
    return text.strip()[:MAX_FIELD].strip()
