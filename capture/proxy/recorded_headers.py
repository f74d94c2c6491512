"""The parts of request lines and headers that are recorded. A credential never touches a disk: an
allow-list says which values are recorded. All other headers and query parameters leave only their
names: the value of such a header is None, which an empty one is not."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from capture.exchange import RecordedHeaders
from capture.upstream.headers import RawHeaders
from capture.wire.shared.reported_cost import CACHE_HEADERS, COST_HEADERS

# By these, agents, SDKs and gateways name a session, an agent or a request: names that were seen on
# the wire, and those that gateways document.
_IDENTITY = """
    baggage traceparent tracestate x-amzn-trace-id x-client-request-id x-correlation-id x-request-id
    originator version x-app x-client-app x-goog-api-client x-title
    conversation conversation-id conversation_id session-id session_id thread-id thread_id
    x-agent-id x-agent-name x-conversation-id x-parent-session-id x-session-affinity x-session-id
    x-thread-id x-trace-id
    x-claude-code-agent-id x-claude-code-parent-agent-id x-claude-code-session-id
    x-claude-remote-container-id x-claude-remote-session-id
    x-codex-installation-id x-codex-parent-thread-id x-codex-turn-metadata x-codex-window-id
    x-codex-ws-stream-request-start-ms x-openai-subagent
    x-opencode-client x-opencode-project x-opencode-request x-opencode-session
    user_prompt_id x-activity-request-id x-gemini-api-privileged-user-id
    copilot-integration-id editor-version x-agent-task-id x-initiator x-interaction-id
    x-interaction-type
    helicone-request-id helicone-session-id helicone-session-name helicone-session-path
    helicone-user-id langfuse_session_id langfuse_trace_id langfuse_trace_user_id
    langfuse-session-id langfuse-trace-id langfuse-user-id x-grok-conv-id x-litellm-session-id
    x-litellm-trace-id x-portkey-trace-id
    """
_IDENTITY_HEADERS = frozenset(_IDENTITY.split())
# A value of theirs that looks like a credential, or has one in it, is not kept.
_CREDENTIAL = re.compile(
    rb"\b(?:[Bb]earer|[Bb]asic)\s+\S{8}|\b(?:sk|pk|rk|gsk|xai|hf|gh[opsu]|pat|nvapi|key)[-_][\w-]{16}"
    rb"|\b(?:AIza|ya29\.|AKIA|eyJ)[\w-]{12}|://[^/@\s]*:[^/@\s]+@"
    rb"|(?i:password|secret|token|api[_-]?key)\W{0,3}[:=]"
)

REQUEST_HEADERS = _IDENTITY_HEADERS | frozenset(
    """accept accept-encoding anthropic-beta anthropic-version content-encoding content-length
    content-type openai-beta user-agent""".split()
)
# With the request's id as each provider and gateway names it.
RESPONSE_HEADERS = frozenset((*COST_HEADERS, *CACHE_HEADERS)) | frozenset(
    """anthropic-organization-id apim-request-id cf-ray content-encoding content-length content-type
    date helicone-id mistral-correlation-id msh-request-id nvcf-reqid openai-organization
    openai-processing-ms openai-version req-id request-id retry-after retry-after-ms server
    trace-id via x-amz-request-id x-amzn-requestid x-amzn-trace-id x-client-request-id
    x-cloud-trace-context x-correlation-id x-debug-trace-id x-ds-trace-id x-generation-id
    x-goog-request-id x-kong-request-id x-litellm-call-id x-log-id x-ms-client-request-id
    x-ms-region x-ms-request-id x-oai-request-id x-oneapi-request-id x-openrouter-generation-id
    x-portkey-trace-id x-request-id x-should-retry x-siliconcloud-trace-id x-tt-logid
    x-trace-id x-vercel-id""".split()
)
REQUEST_PREFIXES = ("x-stainless-",)
RESPONSE_PREFIXES = (
    "x-ratelimit-",
    "anthropic-ratelimit-",
    "x-amzn-bedrock-",
    "x-litellm-response-cost-",
)
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


def request_headers(headers: RawHeaders) -> RecordedHeaders:
    return _redact_headers(headers, REQUEST_HEADERS, REQUEST_PREFIXES)


def response_headers(headers: RawHeaders) -> RecordedHeaders:
    return _redact_headers(headers, RESPONSE_HEADERS, RESPONSE_PREFIXES)


def _redact_headers(
    headers: RawHeaders, names: frozenset[str], prefixes: tuple[str, ...]
) -> RecordedHeaders:
    recorded: RecordedHeaders = []
    for name, value in headers:
        text, with_value = _name_and_rule(name, names, prefixes)
        if with_value and text in _IDENTITY_HEADERS and _CREDENTIAL.search(value):
            with_value = False
        recorded.append((text, value.decode("latin-1") if with_value else None))
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
