"""Reads the error messages of upstreams in all their shapes, and writes our own in those shapes."""

from __future__ import annotations

import orjson

from capture.wire.json.fields import objects, text
from capture.wire.json.lenient import clean, dump, load
from capture.wire.types import JSON

LONGEST = 2_000
"""Characters that are recorded of an error without a message field: an HTML page, an unknown
shape."""


def message_in(response: JSON) -> str | None:
    """Returns the message of a decoded error body or event; None when there is no sign of an
    error."""
    if isinstance(response, list):  # Gemini's OpenAI-compatible API
        return next(filter(None, map(message_in, objects(response))), None)
    if not isinstance(response, dict):
        return None
    error = response.get("error")
    if isinstance(error, dict) and error:
        return text(error.get("message")) or text(error.get("code")) or dump(error)[:LONGEST]
    if text(error):
        return text(error)
    if error:
        return dump(error)[:LONGEST]
    return None


def message_of_event(event: dict[str, JSON]) -> str:
    """Returns the message of an event that is known to be an error: in its `error`, or flat."""
    return message_in(event) or message_in({"error": event}) or "an error without a message"


def message_of_body(body: bytes) -> str | None:
    """Returns the message of a response with an error status; None only for an empty body."""
    response, note = load(body)
    if note is not None:
        # Characters take four bytes at most; more need not be decoded.
        start = body.strip()[: 4 * LONGEST].decode("utf-8", "replace")
        return clean(start[:LONGEST]) or None
    found = message_in(response)
    if found is None and isinstance(response, dict):
        # AWS spells it in two ways.
        flat = text(response.get("message")) or text(response.get("Message"))
        found = flat or _detail(response.get("detail"))
    if found is None and response not in (None, "", {}, []):
        found = text(response) or dump(response)
        return found[:LONGEST]
    return found


def _detail(detail: JSON) -> str | None:
    """Reads FastAPI's errors: a text, or `[{"loc": ["body", "model"], "msg": "Field
    required"}]`."""
    lines = []
    for item in objects(detail):
        location = item.get("loc")
        field = ".".join(map(str, location)) if isinstance(location, list) else ""
        lines.append(": ".join(filter(None, [field, text(item.get("msg"))])))
    return text("; ".join(filter(None, lines))) or text(detail)


def openai_body(message: str, *, type: str, code: str) -> bytes:
    error = {"message": clean(message), "type": clean(type), "param": None, "code": clean(code)}
    return orjson.dumps({"error": error})


def anthropic_body(message: str, *, type: str, code: str, request_id: str) -> bytes:
    message = clean(message)
    return orjson.dumps(
        {
            "type": "error",
            "message": message,  # the JavaScript SDK prints this one, else the whole JSON text
            "error": {
                "type": clean(type),
                "message": message,
                "details": {"error_code": clean(code)},
            },
            "request_id": clean(request_id),
        }
    )


# Google's statuses of errors, by our codes and types:
# https://cloud.google.com/apis/design/errors
_GOOGLE_STATUSES = {
    "upstream_timeout": (504, "DEADLINE_EXCEEDED"),
    "upstream_unreachable": (502, "UNAVAILABLE"),
    "unknown_upstream": (404, "NOT_FOUND"),
    "ledger_full": (503, "UNAVAILABLE"),
    "limiter_unavailable": (503, "UNAVAILABLE"),
    "insufficient_quota": (429, "RESOURCE_EXHAUSTED"),
    "billing_error": (402, "FAILED_PRECONDITION"),
    "rate_limit_error": (429, "RESOURCE_EXHAUSTED"),
    "invalid_request_error": (400, "INVALID_ARGUMENT"),
    "authentication_error": (401, "UNAUTHENTICATED"),
    "permission_error": (403, "PERMISSION_DENIED"),
    "not_found_error": (404, "NOT_FOUND"),
}


def google_body(message: str, *, type: str, code: str, request_id: str) -> bytes:
    status, name = _GOOGLE_STATUSES.get(code) or _GOOGLE_STATUSES.get(type) or (500, "INTERNAL")
    reason = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": clean(code).upper(),
        "domain": "agentledger",
        "metadata": {"request_id": clean(request_id)},
    }
    error = {"code": status, "message": clean(message), "status": name, "details": [reason]}
    return orjson.dumps({"error": error})


def ollama_body(message: str) -> bytes:
    return orjson.dumps({"error": clean(message)})


def cohere_body(message: str, *, request_id: str) -> bytes:
    return orjson.dumps({"id": clean(request_id), "message": clean(message)})


def aws_body(message: str, *, code: str) -> bytes:
    # AWS names the code in a header; the SDKs look for it here where that is missing.
    return orjson.dumps({"message": clean(message), "code": clean(code)})
