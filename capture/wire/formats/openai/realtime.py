"""One response of OpenAI's Realtime over a WebSocket, or one transcript of the agent's voice. Its
request has the shape of one to Responses (capture.wire.sockets.openai_realtime), its response is
the provider's events.

https://platform.openai.com/docs/api-reference/realtime-server-events/response
"""

from __future__ import annotations

from capture.wire import errors
from capture.wire.formats.openai import responses as openai_responses
from capture.wire.formats.openai import usage as openai_usage
from capture.wire.formats.openai.responses import error_body, tool_results
from capture.wire.framing import sse
from capture.wire.json.fields import text
from capture.wire.shared import responses as shared_responses
from capture.wire.types import JSON, ParsedResponse

__all__ = [
    "NAME",
    "PROVIDER",
    "error_body",
    "parse_response",
    "parse_request",
    "tool_results",
]

NAME = "openai_realtime"
PROVIDER = "openai"

# The whole turn of a transcript.
_TRANSCRIPTS = tuple(
    f"conversation.item.input_audio_transcription.{end}" for end in ("completed", "failed")
)

parse_request = openai_responses.parse_request


def parse_response(body: bytes, *, status: int, content_type: str) -> ParsedResponse:
    return shared_responses.read_response(
        body, status, content_type, parse_json=_parse_json, parse_stream=_parse_stream
    )


def _parse_json(value: JSON) -> ParsedResponse:
    """The response to a handshake that failed has an error at most."""
    return ParsedResponse()


def _parse_stream(body: bytes) -> ParsedResponse:
    if b"input_audio_transcription." in body:
        name, event, _ = next(sse.read_objects(body, []), ("", {}, 0))
        if name in _TRANSCRIPTS:
            return _parse_transcript(event)
    return openai_responses.read_stream(body, ("response.done",))


def _parse_transcript(event: dict[str, JSON]) -> ParsedResponse:
    """Its model is the request's: the event does not name it."""
    return ParsedResponse(
        response_id=text(event.get("item_id")),
        content=text(event.get("transcript")),
        usage=openai_usage.read_usage(event.get("usage")),
        error=errors.message_of_event(event) if event.get("error") else None,
        complete=True,
    )
