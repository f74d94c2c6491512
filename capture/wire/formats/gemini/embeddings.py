"""Google's embeddings: https://ai.google.dev/api/embeddings

The vectors are no text and are left out.
"""

from __future__ import annotations

from capture.wire import errors
from capture.wire.formats.gemini import generate_content as gemini
from capture.wire.json.fields import fields
from capture.wire.shared import requests, responses, usage
from capture.wire.types import JSON, Answered, Asked, PartKind, ToolResult

NAME = "gemini_embeddings"
PROVIDER = "google"

_parts: dict[str, PartKind] = {"content": "message", "requests": "message"}


def parse_request(body: bytes, *, path: str = "", content_type: str = "") -> Asked:
    asked, _ = requests.read_common(body, _parts, ())
    asked.model_id = gemini.model_of(path, asked.model_id)
    return asked


def parse_answer(body: bytes, *, status: int, content_type: str) -> Answered:
    return responses.read(body, status, content_type, whole=_parse_whole, stream=gemini.read_stream)


def tool_results(message: bytes) -> list[ToolResult]:
    return []


def error_body(message: str, *, type: str, code: str, request_id: str) -> bytes:
    return errors.google_body(message, type=type, code=code, request_id=request_id)


def _parse_whole(value: JSON) -> Answered:
    return Answered(usage=usage.gemini(fields(value).get("usageMetadata")))
