"""Tells failures from answers where the status does not: what stands in the place of an answer.

A gateway has sent the status 200 before its provider has answered, and some never send another one.
"""

from __future__ import annotations

from capture.wire import errors
from capture.wire.error_words import describe
from capture.wire.framing import aws_event_stream, sse
from capture.wire.json.fields import fields
from capture.wire.json.lenient import strip_bom
from capture.wire.types import JSON, ParsedResponse

NO_ANSWER = "the stream ended without an answer"

_STOPS = frozenset(
    # Beside those of all, they are DeepSeek's, Zhipu's, Cohere's, and vLLM's and SGLang's.
    """error failed server_error insufficient_system_resource network_error timeout abort""".split()
)
"""Reasons to stop that are failures. Others are the model's own, the agent's limits, a filter's."""

_ERROR_EVENTS = ("error", "exception", "response.error")

# The fields of an object that is an error itself. The first have words about success too.
_WORDS = ("message", "msg", "Message", "Msg", "statusMessage", "status_msg")
_ERROR_WORDS = (
    *("detail", "errors", "fault", "Error"),
    *("error_msg", "errmsg", "errMsg", "error_message", "errorMessage", "ErrorMsg"),
)
_CODES = (
    *("code", "Code", "error_code", "errorCode", "errcode", "__type", "type"),
    *("status", "status_code", "statusCode"),
)
_FAILED_STATUSES = frozenset(("error", "fail", "failed", "failure"))
_MAY_BE_LISTS = frozenset((*_ERROR_WORDS, "details", "messages"))
# No error is without one of these, and most events have none of them.
_SIGNS = frozenset(("success", "ok", "status", "Response", *_WORDS, *_ERROR_WORDS))

_CHOICES = frozenset(("choices", "candidates"))
_SAMPLE = 1_000


def message_of_stop(reason: JSON) -> str | None:
    """Returns the message of a response that stopped for this reason; None if that is no
    failure."""
    if isinstance(reason, str) and reason.lower() in _STOPS:
        return f"the response stopped with {reason!r}"
    return None


def message_of_choice(choice: dict[str, JSON]) -> str | None:
    """Returns the message of a choice: OpenRouter's have errors, and the provider's own reason to
    stop. None if it is no failure."""
    return errors.message_in(choice) or message_of_stop(choice.get("native_finish_reason"))


def message_of_event(name: str, event: dict[str, JSON]) -> str | None:
    """Returns the message of an event that brings nothing of an answer; None if it is no error."""
    found = errors.message_in(event)
    if found is None and (name in _ERROR_EVENTS or name.endswith("Exception")):
        return errors.message_of_event(event)
    return found or message_of_flat(event)


def find_flat_error(parsed_response: ParsedResponse, value: JSON) -> None:
    """Sets the error of a response that is an object without an answer."""
    if parsed_response.error is None and isinstance(value, dict):
        if has_answer(parsed_response):
            return
        parsed_response.error = message_of_flat(value)
    if parsed_response.error is not None:
        parsed_response.is_pending = False  # it has an id of the request, as pending ones have


def message_of_flat(value: dict[str, JSON]) -> str | None:
    """Returns the message of an object that is an error itself, as `{"code": 400, "msg": "…"}`;
    None for any other. An answer may have such fields too: to be asked only where there is none."""
    for key, entry in value.items():
        if isinstance(entry, list) and entry and key not in _MAY_BE_LISTS:
            return None  # embeddings, images, models
    return describe(value) if _says_failure(value) else None


def _says_failure(value: dict[str, JSON]) -> bool:
    if _SIGNS.isdisjoint(value):
        return False
    if value.get("success") is False or value.get("ok") is False:
        return True
    status = value.get("status")
    if isinstance(status, str) and status.lower() in _FAILED_STATUSES:
        return True
    within = fields(value.get("Response")).get("Error")  # Tencent's
    if any(not errors.is_nothing(entry) for entry in (within, *map(value.get, _ERROR_WORDS))):
        return True
    words = [value.get(name) for name in _WORDS]
    has_words = any(isinstance(some, str) and not errors.is_nothing(some) for some in words)
    return has_words and any(_is_failure(name, value.get(name)) for name in _CODES)


def _is_failure(name: str, code: JSON) -> bool:
    if not isinstance(code, str) or errors.is_failure_code(code):
        return errors.is_failure_code(code)
    if name == "type":
        return code.lower().endswith(("error", "exception"))
    # A status in words may be any.
    return not name.startswith("status") and not errors.is_nothing(code)


def has_answer(parsed_response: ParsedResponse) -> bool:
    """Returns True for a response with anything that a model gives: a reason to stop, a count that
    is not 0."""
    if (
        parsed_response.content
        or (parsed_response.stop_reason and not message_of_stop(parsed_response.stop_reason))
        or parsed_response.tool_calls
        or parsed_response.reasoning
        or parsed_response.choices
        or parsed_response.first_content_end
    ):
        return True
    usage = parsed_response.usage
    return usage is not None and bool(
        usage.tokens_in or usage.tokens_out or usage.units or usage.reported_cost_usd
    )


def in_place_of_json(
    parsed_response: ParsedResponse, body: bytes, content_type: str, value: JSON, note: str | None
) -> str | None:
    """Returns what has come where an answer in JSON was due; None for an answer, and for what may
    be the beginning of one. `value` and `note` are what `load` returned of the body."""
    if note is None and isinstance(value, dict | list):
        if isinstance(value, dict) and not _CHOICES.isdisjoint(value):
            return None if has_answer(parsed_response) else "the response has no choices"
        return None
    start = strip_bom(body)
    if not start:
        return "the response is empty"
    is_page = start.startswith(b"<")
    if note is not None and not is_page:
        is_cut = start.startswith((b"{", b"["))
        if is_cut or "json" not in content_type.lower() or not _is_text(body):
            return None
    return f"the response is {'a page' if is_page else 'no answer'}: {errors.start_of(body)}"


def in_place_of_stream(parsed_response: ParsedResponse, body: bytes) -> str | None:
    """Returns what has come where a stream was due, when there is neither content in it nor usage,
    nor the event that ends it; None for a stream, and for what cannot be read."""
    if parsed_response.complete or parsed_response.note or has_answer(parsed_response):
        return None
    start = strip_bom(body)
    if not start or sse.is_stream(start, "") or start.startswith((b"{", b"[")):
        return NO_ANSWER
    if _is_text(body):
        return f"{NO_ANSWER}: {errors.start_of(body)}"
    return NO_ANSWER if aws_event_stream.is_stream(body, "") else None


def _is_text(body: bytes) -> bool:
    """Returns False for bytes in an encoding that is not known."""
    sample = body[:_SAMPLE].decode("utf-8", "replace")
    return "\0" not in sample and sample.count("\ufffd") <= 1  # one that the end cuts
