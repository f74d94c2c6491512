"""OpenAI's transcriptions, translations and speech, which other providers have copied:
https://platform.openai.com/docs/api-reference/audio

Transcripts come as JSON, events or plain text (text, srt, vtt); speech as events or as the audio
itself, of which nothing is read.
"""

from __future__ import annotations

from capture.wire import errors
from capture.wire.formats.openai import usage as openai_usage
from capture.wire.framing import multipart, sse
from capture.wire.json.fields import fields, join_text, text
from capture.wire.json.lenient import clean, load, strip_bom
from capture.wire.shared import failures, requests, responses
from capture.wire.types import JSON, ParsedRequest, ParsedResponse, ParsedToolResult, PartKind

NAME = "openai_audio"
PROVIDER = "openai"

_parts: dict[str, PartKind] = {"input": "message"}

_TEXTS = ("text/", "application/x-subrip")

# The events of a transcript, and the field of a piece in them: OpenAI's, then Mistral's.
_PIECES = {"transcript.text.delta": "delta", "transcription.text.delta": "text"}
_WHOLES = ("transcript.text.done", "transcription.done")


def parse_request(body: bytes, *, path: str = "", content_type: str = "") -> ParsedRequest:
    """A request for speech is a JSON object, billed by its `input`; all others are forms."""
    if multipart.is_multipart(body, content_type):
        return multipart.read_request(body, content_type)
    parsed_request, raw = requests.read_common(body, _parts, ())
    if "input" in raw and (spoken := load(raw["input"])[0]) and isinstance(spoken, str):
        parsed_request.units["input_characters"] = len(spoken)
    return parsed_request


def parse_response(body: bytes, *, status: int, content_type: str) -> ParsedResponse:
    kind = content_type.lower()
    is_stream = sse.is_stream(body, kind) and not _is_binary(kind)
    if status >= 400 or is_stream or _is_json(body, kind):
        return responses.read_response(
            body,
            status,
            kind,
            parse_json=_parse_json,
            parse_stream=_parse_stream,
            is_answer_due=is_stream or strip_bom(body[:64]).startswith(b"{"),  # else it is a text
        )
    return _parse_plain(body, kind)


def tool_results(message: bytes) -> list[ParsedToolResult]:
    return []


def error_body(message: str, *, type: str, code: str, request_id: str) -> bytes:
    return errors.openai_body(message, type=type, code=code)


def _is_json(body: bytes, kind: str) -> bool:
    if "json" in kind:
        return True
    return not _is_binary(kind) and strip_bom(body[:64]).startswith(b"{") and _is_object(body)


def _is_object(body: bytes) -> bool:
    return isinstance(load(body)[0], dict)


def _is_binary(kind: str) -> bool:
    return bool(kind) and "json" not in kind and not kind.startswith(_TEXTS)


def _parse_plain(body: bytes, kind: str) -> ParsedResponse:
    """Parses a transcript, or audio. Neither has a mark at its end, so `complete` stays False."""
    if _is_binary(kind):
        return ParsedResponse()
    try:
        transcript = body.decode("utf-8", "strict" if not kind else "replace")
    except UnicodeDecodeError:
        return ParsedResponse()
    if not kind and "\0" in transcript:
        return ParsedResponse()
    return ParsedResponse(content=clean(transcript.removeprefix("\ufeff")) or None)


def _parse_json(value: JSON) -> ParsedResponse:
    response = fields(value)
    counts = fields(response.get("usage"))
    if not counts and (seconds := response.get("duration")) is not None:
        # Whisper's verbose responses have what it is billed by.
        counts = {"type": "duration", "seconds": seconds}
    return ParsedResponse(
        response_model=text(response.get("model")),
        response_id=text(response.get("id")),
        content=text(response.get("text")),
        usage=openai_usage.read_usage(counts),
    )


def _parse_stream(body: bytes) -> ParsedResponse:
    parsed_response = ParsedResponse()
    pieces: list[str] = []
    unread: list[int] = []
    for name, event, end in sse.read_objects(body, unread):
        has_content = False
        if name in _PIECES:
            piece = event.get(_PIECES[name])
            if piece and isinstance(piece, str):
                pieces.append(piece)
                has_content = True
        elif name in _WHOLES:
            whole = event.get("text")
            if whole and isinstance(whole, str):
                pieces = [whole]
                has_content = True
        elif name == "speech.audio.delta":
            has_content = bool(event.get("audio") or event.get("audio_data"))
        elif found := failures.message_of_event(name, event):
            parsed_response.error = parsed_response.error or found
        if name in _WHOLES or name == "speech.audio.done":
            parsed_response.complete = True
            parsed_response.response_model = text(event.get("model"))
            parsed_response.usage = openai_usage.read_usage(event.get("usage"))
        if has_content and parsed_response.first_content_end is None:
            parsed_response.first_content_end = end
    parsed_response.content = join_text(pieces)
    parsed_response.complete = parsed_response.complete or parsed_response.error is not None
    parsed_response.note = sse.note(unread, body)
    return parsed_response
