"""The results of batches, of which each has its own usage: OpenAI's output files, which Azure and
others have too, Anthropic's results, Gemini's batches and their files.

https://platform.openai.com/docs/guides/batch, https://ai.google.dev/gemini-api/docs/batch-api,
https://docs.anthropic.com/en/api/retrieving-message-batch-results
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from capture.wire import errors
from capture.wire.formats.anthropic import messages as anthropic_messages
from capture.wire.formats.gemini import generate_content as gemini
from capture.wire.formats.openai import chat as openai_chat
from capture.wire.formats.openai import responses as openai_responses
from capture.wire.framing import ndjson
from capture.wire.json.fields import fields, objects
from capture.wire.json.lenient import load
from capture.wire.limits import check_json
from capture.wire.shared.usage import add_up
from capture.wire.types import (
    JSON,
    BilledUsage,
    ParsedRequest,
    ParsedResponse,
    ParsedToolResult,
    Usage,
)

TIER = "batch"
# The beginning of a file of results, as far as it must be known before it is recorded.
BEGINNING = 4096
_begins = re.compile(
    rb'\s*\{\s*(?:"id"\s*:\s*"[^"]*"\s*,\s*)?"(?:custom_id|key|response|result)"\s*:'
)


@dataclass
class BatchResults:
    NAME: str
    PROVIDER: str
    _error_body: Callable[..., bytes]

    def parse_request(
        self, body: bytes, *, path: str = "", content_type: str = ""
    ) -> ParsedRequest:
        return ParsedRequest()

    def parse_response(self, body: bytes, *, status: int, content_type: str) -> ParsedResponse:
        if status >= 400:
            return ParsedResponse(error=errors.message_of_body(body))
        unread: list[int] = []
        return _sum_up(_results(body, content_type, unread), unread)

    def tool_results(self, message: bytes) -> list[ParsedToolResult]:
        return []

    def error_body(self, message: str, *, type: str, code: str, request_id: str) -> bytes:
        return self._error_body(message, type=type, code=code, request_id=request_id)


def openai_error(message: str, *, type: str, code: str, request_id: str) -> bytes:
    return errors.openai_body(message, type=type, code=code)


OPENAI = BatchResults("openai_batch", "openai", openai_error)
ANTHROPIC = BatchResults("anthropic_batch", "anthropic", errors.anthropic_body)
GEMINI = BatchResults("gemini_batch", "google", errors.google_body)
NAMES = frozenset((OPENAI.NAME, ANTHROPIC.NAME, GEMINI.NAME))


def begin_results(beginning: bytes) -> bool:
    """Returns whether a file that begins so may have the results of a batch: most have not."""
    return _begins.match(beginning[:BEGINNING]) is not None


def _results(body: bytes, content_type: str, unread: list[int]) -> Iterator[JSON]:
    """Yields the results of a file of lines, or of an operation of Gemini, which has them all."""
    if ndjson.is_stream(body, content_type):
        yield from (line for line, _ in ndjson.read_objects(body, unread))
        return
    check_json(body)
    value = fields(load(body)[0])
    operation = fields(value.get("response")) or fields(fields(value.get("metadata")).get("output"))
    inlined = objects(fields(operation.get("inlinedResponses")).get("inlinedResponses"))
    yield from inlined or [value]


def _sum_up(results: Iterator[JSON], unread: list[int]) -> ParsedResponse:
    """Each result is billed on its own: a long one may have another price. One whose usage is not
    known leaves the cost of all unknown."""
    n_results, models, billed = 0, set(), []
    for result in results:
        n_results += 1
        answer = _answer_of(fields(result))
        if answer is not None:
            models.add(answer.response_model)
            billed += _shares(answer)
    billed += [BilledUsage(None, Usage())] * bool(unread)
    if not billed:
        return ParsedResponse(is_pending=True)
    total = replace(add_up([share.usage for share in billed]) or Usage())
    total.billed = billed
    total.raw = {"results": n_results, "answered": len(billed)}
    return ParsedResponse(
        response_model=models.pop() if len(models) == 1 else None,
        usage=total,
        service_tier=TIER,
        note=f"{len(unread)} lines of results could not be read" if unread else None,
    )


def _shares(answer: ParsedResponse) -> list[BilledUsage]:
    model, usage = answer.response_model, answer.usage or Usage()
    shares = usage.billed or [BilledUsage(None, usage)]
    return [BilledUsage(share.model or model, share.usage) for share in shares]


def _answer_of(result: dict[str, JSON]) -> ParsedResponse | None:
    """Returns the answer that a result has; None where the request failed, which costs nothing."""
    if message := fields(fields(result.get("result")).get("message")):  # Anthropic
        return anthropic_messages.read_json(message)
    response = fields(result.get("response"))
    body = fields(response.get("body"))
    if not body:
        is_gemini = "candidates" in response or "usageMetadata" in response
        return gemini.read_json(response) if is_gemini else None
    status = response.get("status_code")
    if (isinstance(status, int) and status >= 400) or "error" in body and body["error"]:
        return None
    if body.get("object") == "response":
        return openai_responses.read_json(body)
    if body.get("type") == "message":
        return anthropic_messages.read_json(body)
    return openai_chat.read_json(body)
