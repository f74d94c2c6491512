"""One response of OpenAI's Realtime over a WebSocket. Its request has the shape of one to Responses
(capture.wire.sockets.openai_realtime), its response is the provider's events.

https://platform.openai.com/docs/api-reference/realtime-server-events/response
"""

from __future__ import annotations

from capture.wire.formats.openai import responses as openai_responses
from capture.wire.formats.openai.responses import error_body, tool_results
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

parse_request = openai_responses.parse_request


def parse_response(body: bytes, *, status: int, content_type: str) -> ParsedResponse:
    return shared_responses.read_response(
        body, status, content_type, parse_json=_parse_json, parse_stream=_parse_stream
    )


def _parse_json(value: JSON) -> ParsedResponse:
    """The response to a handshake that failed has an error at most."""
    return ParsedResponse()


def _parse_stream(body: bytes) -> ParsedResponse:
    return openai_responses.read_stream(body, ("response.done",))
