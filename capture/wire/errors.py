"""Reads the error messages of upstreams in all their shapes, and writes our own in those shapes."""

from __future__ import annotations

import orjson

from capture.wire.error_words import LONGEST, describe, words_of
from capture.wire.json.fields import fields, objects
from capture.wire.json.lenient import clean, load
from capture.wire.types import JSON

# What servers send in an error, its code or its message where there is none, in lower case.
_SUCCESS = frozenset(
    ("", "0", "200", "null", "none", "false", "ok", "success", "succeeded", "no error")
)

# Of fields beside an `error` that may have its words; others may have the answer.
_BESIDE = ("message", "msg", "detail", "details", "error_description", "error_message")


def message_in(response: JSON) -> str | None:
    """Returns the message of a decoded error body or event; None when there is no sign of an
    error."""
    if isinstance(response, list):  # Gemini's OpenAI-compatible API
        return next(filter(None, map(message_in, objects(response))), None)
    if not isinstance(response, dict):
        return None
    error = response.get("error")
    if error and not is_nothing(error):
        beside = [words for name in _BESIDE if isinstance(words := response.get(name), str)]
        own = error if isinstance(error, str | dict | list) else None  # true, or a number
        return words_of([own, *beside]) or describe(error)
    if response.get("type") == "error" or response.get("object") == "error":
        return words_of(response)
    base = response.get("base_resp")
    if base and is_failure_code(fields(base).get("status_code")):  # MiniMax
        return describe(base)
    return None


def is_failure_code(code: JSON) -> bool:
    """Returns True for a number, or its text, that is neither 0 nor a status of success."""
    if isinstance(code, str) and code.strip().removeprefix("-").isdecimal() and len(code) < 20:
        code = int(code)
    if isinstance(code, bool) or not isinstance(code, int | float):
        return False
    return code != 0 and not 100 <= code < 300 and code != 20_000  # SiliconFlow's success


def is_nothing(error: JSON) -> bool:
    """Returns True for what stands where there is no error: `{"code": 0, "message": "success"}`."""
    if isinstance(error, dict):
        return all(not value or _is_success(value) for value in error.values())
    return not error or _is_success(error)


def _is_success(value: JSON) -> bool:
    if isinstance(value, str):
        return value.strip().lower() in _SUCCESS
    return not isinstance(value, bool) and value == 200


def message_of_event(event: dict[str, JSON]) -> str:
    """Returns the message of an event that is known to be an error: in its `error`, or flat."""
    if event:
        return message_in(event) or describe(event)
    return "an error without a message"


def message_of_body(body: bytes) -> str | None:
    """Returns the message of a response with an error status; None only for an empty body."""
    response, note = load(body)
    if note is not None:
        return start_of(body)
    if response in (None, "", {}, []):
        return None
    return message_in(response) or describe(response)


def start_of(body: bytes) -> str | None:
    """Returns the beginning of a text: an HTML page, an unknown shape."""
    # Characters take four bytes at most; more need not be decoded.
    start = body.strip()[: 4 * LONGEST].decode("utf-8", "replace")
    return clean(start[:LONGEST]) or None


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
