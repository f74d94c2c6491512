"""Google's older way to call a model, by which Imagen makes images, and Vertex embeddings:
https://ai.google.dev/api/models#method:-models.predict,
https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/imagen-api

Images and vectors are not text and are left out.
"""

from __future__ import annotations

from capture.wire import errors
from capture.wire.formats.gemini import generate_content as gemini
from capture.wire.json.fields import count, fields, join_text, objects, text
from capture.wire.shared import requests, responses
from capture.wire.types import (
    JSON,
    ParsedRequest,
    ParsedResponse,
    ParsedToolResult,
    PartKind,
    Usage,
)

NAME = "gemini_predict"
PROVIDER = "google"

_parts: dict[str, PartKind] = {"instances": "message"}


def parse_request(body: bytes, *, path: str = "", content_type: str = "") -> ParsedRequest:
    parsed_request, _ = requests.read_common(body, _parts, ())
    parsed_request.model_id = gemini.model_in(path, parsed_request.model_id)
    return parsed_request


def parse_response(body: bytes, *, status: int, content_type: str) -> ParsedResponse:
    return responses.read_response(
        body, status, content_type, parse_json=_parse_json, parse_stream=gemini.read_stream
    )


def tool_results(message: bytes) -> list[ParsedToolResult]:
    return []


def error_body(message: str, *, type: str, code: str, request_id: str) -> bytes:
    return errors.google_body(message, type=type, code=code, request_id=request_id)


def _parse_json(value: JSON) -> ParsedResponse:
    """An image that a filter kept back has a reason in its place, and costs nothing."""
    predictions = objects(fields(value).get("predictions"))
    prompts = [text(prediction.get("prompt")) for prediction in predictions]
    reasons = [text(prediction.get("raiFilteredReason")) for prediction in predictions]
    return ParsedResponse(
        content=join_text([prompt for prompt in prompts if prompt], "\n"),
        stop_reason=next((reason for reason in reasons if reason), None),
        usage=_usage(predictions),
    )


def _usage(predictions: list[dict[str, JSON]]) -> Usage | None:
    n_images = sum("bytesBase64Encoded" in found or "gcsUri" in found for found in predictions)
    is_filtered = any("raiFilteredReason" in found for found in predictions)
    embedded = [fields(found.get("embeddings")) for found in predictions]
    tokens = [count(fields(found.get("statistics")).get("token_count")) for found in embedded]
    known = [n for n in tokens if n is not None]
    if not (n_images or is_filtered or known):
        return None
    units = {"images": float(n_images)} if n_images or is_filtered else {}
    return Usage(tokens_in=sum(known) if known else None, units=units)
