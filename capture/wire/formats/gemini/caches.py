"""The creation of explicit caches: https://ai.google.dev/api/caching, and Vertex's.

What goes into a cache costs as much as input, and storing it costs by the hour, from when it is
created until it expires: https://cloud.google.com/vertex-ai/generative-ai/docs/context-cache/context-cache-overview
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from capture.wire import errors
from capture.wire.formats.gemini import generate_content as gemini
from capture.wire.json.fields import count, fields, text
from capture.wire.json.lenient import clean_json
from capture.wire.shared import responses
from capture.wire.types import JSON, ParsedRequest, ParsedResponse, ParsedToolResult, Usage

NAME = "gemini_caches"
PROVIDER = "google"

STORAGE = "cached_token_hours"
UNCOUNTED = "uncounted_cache_storage"


def parse_request(body: bytes, *, path: str = "", content_type: str = "") -> ParsedRequest:
    return gemini.parse_request(body, path=path, content_type=content_type)


def parse_response(body: bytes, *, status: int, content_type: str) -> ParsedResponse:
    return responses.read_response(
        body, status, content_type, parse_json=_parse_json, parse_stream=gemini.read_stream
    )


def tool_results(message: bytes) -> list[ParsedToolResult]:
    """Returns none, as what is cached is the beginning of other calls."""
    return []


def error_body(message: str, *, type: str, code: str, request_id: str) -> bytes:
    return errors.google_body(message, type=type, code=code, request_id=request_id)


def _parse_json(value: JSON) -> ParsedResponse:
    cache = fields(value)
    expires = text(cache.get("expireTime"))
    return ParsedResponse(
        response_model=gemini.model_in("", text(cache.get("model"))),
        response_id=text(cache.get("name")),
        usage=_usage(cache),
        note=f"storage is charged until {expires}; a cache that is deleted earlier costs less"
        if expires
        else None,
    )


def _usage(cache: dict[str, JSON]) -> Usage | None:
    raw = fields(cache.get("usageMetadata"))
    tokens = count(raw.get("totalTokenCount"))
    if tokens is None:
        return None
    hours = _hours(cache)
    units = {UNCOUNTED: 1.0} if hours is None else {STORAGE: float(round(tokens * hours, 6))}
    return Usage(tokens_in=tokens, tokens_out=0, units=units, raw=clean_json(raw))


def _hours(cache: dict[str, JSON]) -> Decimal | None:
    created, expires = (_time(cache.get(name)) for name in ("createTime", "expireTime"))
    if created is None or expires is None or expires < created:
        return None
    return Decimal(str((expires - created).total_seconds())) / 3600


def _time(value: JSON) -> datetime | None:
    """Reads a time as Google writes it, with up to nine digits behind the second."""
    try:
        time = datetime.fromisoformat(text(value) or "")
    except ValueError:
        return None
    return time if time.tzinfo is not None else None
