"""Videos that Veo makes: https://ai.google.dev/gemini-api/docs/video,
https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/veo-video-generation

They are billed by the second, for as many videos and as long ones as the request asks for. The
response is an operation, whose end has no count.
"""

from __future__ import annotations

from capture.wire import errors
from capture.wire.formats.gemini import generate_content as gemini
from capture.wire.formats.gemini import predict
from capture.wire.json.fields import count, fields, text
from capture.wire.shared import responses
from capture.wire.types import JSON, ParsedRequest, ParsedResponse, ParsedToolResult

NAME = "gemini_long_running"
PROVIDER = "google"

# https://ai.google.dev/gemini-api/docs/video: what holds where the request does not say.
DEFAULT_SECONDS = 8
DEFAULT_RESOLUTION = "720p"
NOTE = "it is priced as the request asks: a video that is not made costs nothing"


def parse_request(body: bytes, *, path: str = "", content_type: str = "") -> ParsedRequest:
    parsed_request = predict.parse_request(body, path=path, content_type=content_type)
    if "veo" in (parsed_request.model_id or "").lower():
        asked = fields(parsed_request.params.get("parameters"))
        parsed_request.units = dict.fromkeys(_units(asked), float(_seconds(asked)))
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
    name = text(fields(value).get("name"))
    return ParsedResponse(response_id=name, note=NOTE if name else None)


def _seconds(asked: dict[str, JSON]) -> int:
    seconds, n_videos = (count(asked.get(name)) for name in ("durationSeconds", "sampleCount"))
    return (seconds or DEFAULT_SECONDS) * (n_videos or 1)


def _units(asked: dict[str, JSON]) -> tuple[str, ...]:
    """Returns the units to count the seconds by: of all videos, and of those with a price of their
    own."""
    if asked.get("generateAudio") is False:
        return ("video_seconds", "silent_video_seconds")
    resolution = (text(asked.get("resolution")) or DEFAULT_RESOLUTION).lower()
    if resolution == DEFAULT_RESOLUTION:
        return ("video_seconds",)
    known = resolution if resolution in ("1080p", "4k") else "other"
    return ("video_seconds", f"video_{known}_seconds")
