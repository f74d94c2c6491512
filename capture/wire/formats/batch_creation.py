"""The creation of batches, which costs nothing by itself: each result is priced when the results
are fetched (`batch_results`), wherever they are then.

https://platform.openai.com/docs/api-reference/batch, of Azure, Groq and others too, Mistral's jobs,
https://docs.anthropic.com/en/api/creating-message-batches,
https://ai.google.dev/gemini-api/docs/batch-api, and Vertex's jobs
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from capture.wire import errors
from capture.wire.formats.batch_results import openai_error
from capture.wire.formats.gemini import generate_content as gemini
from capture.wire.json.fields import fields, text
from capture.wire.json.lenient import load
from capture.wire.shared import requests, responses
from capture.wire.types import JSON, ParsedRequest, ParsedResponse, ParsedToolResult, PartKind

NOTE = "a batch costs nothing by itself: its results are priced when they are fetched"
FIELDS_WITH_REQUESTS = frozenset("requests params batch inputconfig input_config request".split())
"""The fields, in lower case, within which the requests of a batch are, each with its own model."""

_parts: dict[str, PartKind] = {"requests": "message", "batch": "message"}


@dataclass
class BatchCreation:
    NAME: str
    PROVIDER: str
    _error_body: Callable[..., bytes]

    def parse_request(
        self, body: bytes, *, path: str = "", content_type: str = ""
    ) -> ParsedRequest:
        """The model is that of all requests, where they have the same."""
        parsed_request, _ = requests.read_common(body, _parts, ())
        parsed_request.model_id = gemini.model_in(path, parsed_request.model_id)
        if parsed_request.model_id is None:
            parts = (load(body[part.start : part.end])[0] for part in parsed_request.parts)
            models = {text(fields(fields(part).get("params")).get("model")) for part in parts}
            parsed_request.model_id = models.pop() if len(models) == 1 else None
        return parsed_request

    def parse_response(self, body: bytes, *, status: int, content_type: str) -> ParsedResponse:
        return responses.read_response(
            body, status, content_type, parse_json=_parse_json, parse_stream=_parse_stream
        )

    def tool_results(self, message: bytes) -> list[ParsedToolResult]:
        return []

    def error_body(self, message: str, *, type: str, code: str, request_id: str) -> bytes:
        return self._error_body(message, type=type, code=code, request_id=request_id)


def _parse_json(value: JSON) -> ParsedResponse:
    batch = fields(value)
    batch_id = text(batch.get("id")) or text(batch.get("name"))
    return ParsedResponse(response_id=batch_id, note=NOTE if batch_id else None)


def _parse_stream(body: bytes) -> ParsedResponse:
    return ParsedResponse()


OPENAI = BatchCreation("openai_batch_creation", "openai", openai_error)
ANTHROPIC = BatchCreation("anthropic_batch_creation", "anthropic", errors.anthropic_body)
GEMINI = BatchCreation("gemini_batch_creation", "google", errors.google_body)
NAMES = frozenset((OPENAI.NAME, ANTHROPIC.NAME, GEMINI.NAME))
