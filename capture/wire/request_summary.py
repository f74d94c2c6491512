"""Summarizes a request: the models that it names, and the most tokens that it asks for.

The proxy needs no more before it forwards a call. Every model that a body names counts, under any
spelling of its key that a provider may accept (Go's JSON ignores case), and each time that a key
comes: which of them counts differs by provider.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain

from capture.wire.formats import batch_creation
from capture.wire.formats.gemini.generate_content import plain_model
from capture.wire.framing.multipart import is_multipart, iter_values
from capture.wire.json.field_reader import FieldReader, count_binary_bytes, read_fields
from capture.wire.json.fields import count, fields, text
from capture.wire.json.lenient import load
from capture.wire.registry import by_name
from capture.wire.types import JSON, ParsedRequest, Unreadable, WireFormat

# Azure: the name in the path counts, whatever the body says.
_DEPLOYMENT = re.compile(r"/deployments/([^/]+)/")

# The fields of all wire formats that a summary needs. The first limit that is set counts.
_LIMITS = (
    "max_completion_tokens max_output_tokens max_tokens max_tokens_to_sample max_gen_len".split()
)
_SETTINGS = (
    "generationConfig generation_config inferenceConfig textGenerationConfig options".split()
)
_NESTED = (
    "maxOutputTokens max_output_tokens maxTokens maxTokenCount max_new_tokens num_predict".split()
)
# `models`: OpenRouter's, to be tried in turn.
_NAMES = {name.casefold(): name for name in ("model", "models", "n", *_LIMITS, *_SETTINGS)}

_CHARSET = re.compile(r"charset\s*=\s*[\"']?([^\s;,\"']+)", re.IGNORECASE)
# In the others, such as UTF-7, a server may find what is not to be seen here.
_CHARSETS = frozenset("utf-8 utf8 us-ascii ascii iso-8859-1 latin1 windows-1252".split())

# A smaller body has no image that is worth a search.
_SMALL = 4096
_EMPTY = b" \t\r\n"
# What a JSON body begins with, in any of Unicode's encodings.
_JSON_STARTS = (b"{", b"[", b"\xef\xbb\xbf", b"\xfe\xff", b"\xff\xfe", b"\0")


@dataclass(frozen=True, slots=True)
class RequestSummary:
    """The models that a request names, the one that counts first, and its size.

    `models` is empty when they are not known. `max_tokens` is for all choices together; None when
    the request sets no limit. `text_bytes` is about how much of the body the model reads as text,
    as far as the body was read. `unread` says why it was not read to its end; None: it was.
    """

    models: tuple[str, ...] = ()
    max_tokens: int | None = None
    text_bytes: int = 0
    unread: str | None = None

    @property
    def model(self) -> str | None:
        return self.models[0] if self.models else None


def summarize_request(
    body: bytes, wire_format: WireFormat, *, path: str, content_type: str = ""
) -> RequestSummary:
    """Summarizes a small body without content-encoding."""
    is_form = is_multipart(body, content_type)
    if is_form or "charset" in content_type.lower() or wire_format.NAME in batch_creation.NAMES:
        found = None
    else:
        found = _read_small(body)
    if found is None:
        pieces = iter((body,))
        return summarize_pieces(pieces, wire_format, path=path, content_type=content_type)
    n_binary = count_binary_bytes(body) if len(body) >= _SMALL else 0
    return _summary(found, len(body) - n_binary, None, wire_format, path)


def _read_small(body: bytes) -> list[tuple[str, bytes]] | None:
    try:
        return read_fields(body, _wanted)
    except Unreadable:
        return None


def summarize_pieces(
    pieces: Iterator[bytes], wire_format: WireFormat, *, path: str, content_type: str = ""
) -> RequestSummary:
    """Summarizes a body that comes in pieces, without content-encoding, which may be large and
    hostile. Where `pieces` raises Unreadable, the summary is that of the part before."""
    beginning = b""
    try:
        while len(beginning) < 2 and (piece := next(pieces, None)) is not None:
            beginning += piece
    except Unreadable as error:
        return _summary([], len(beginning), str(error), wire_format, path)
    pieces = chain((beginning,), pieces)
    if is_multipart(beginning, content_type):
        return _summarize_form(pieces, wire_format, path, content_type)
    is_batch = wire_format.NAME in batch_creation.NAMES
    within = batch_creation.FIELDS_WITH_REQUESTS if is_batch else frozenset[str]()
    reader, unread = FieldReader(_wanted, within), None
    try:
        reader.read(pieces)
        _check_charset(content_type)
    except Unreadable as error:
        unread = str(error) if _may_be_json(beginning, wire_format, content_type) else None
    text_bytes = reader.n_bytes - reader.n_binary_bytes
    summary = _summary(reader.fields, text_bytes, unread, wire_format, path)
    if is_batch and not summary.models and unread is None:
        return replace(summary, unread="the requests of the batch are in a file")
    return summary


def _check_charset(content_type: str) -> None:
    for charset in _CHARSET.findall(content_type):
        if charset.lower() not in _CHARSETS:
            raise Unreadable(f"its charset is {charset[:40]!r}")


def _may_be_json(beginning: bytes, wire_format: WireFormat, content_type: str) -> bool:
    """Returns whether a body names a model in JSON that we could not read: it is empty, or of a
    path whose wire format is not known, if it does not."""
    start = beginning.lstrip(_EMPTY)
    if wire_format.NAME == "raw":
        return start.startswith(_JSON_STARTS) or "json" in content_type.lower()
    return bool(start)


def _summarize_form(
    pieces: Iterator[bytes], wire_format: WireFormat, path: str, content_type: str
) -> RequestSummary:
    models: list[JSON] = []
    unread = None
    try:
        models.extend(iter_values(pieces, content_type, "model"))
    except Unreadable as error:
        unread = str(error)
    path_model, deployments = _names_in_path(wire_format.NAME, path)
    return RequestSummary(_distinct((path_model, *reversed(models), *deployments)), unread=unread)


def _wanted(key: str) -> str | None:
    return _NAMES.get(key) or _NAMES.get(key.casefold())


def _summary(
    found: Iterable[tuple[str, bytes]],
    text_bytes: int,
    unread: str | None,
    wire_format: WireFormat,
    path: str,
) -> RequestSummary:
    path_model, deployments = _names_in_path(wire_format.NAME, path)
    models: list[JSON] = []
    listed: list[JSON] = []
    values: dict[str, JSON] = {}
    for name, raw in found:
        value, note = load(raw)
        if note is not None:
            unread = unread or f"its {name} is {note}"
        elif name == "model":
            models.append(value)
        elif name == "models":
            listed += value if isinstance(value, list) else []
        else:
            values[name] = value
    # Of two fields of one name, most providers take the last one.
    names = (path_model, *reversed(models), *listed, *deployments)
    return RequestSummary(_distinct(names), _max_tokens(values), text_bytes, unread)


@lru_cache(1024)
def _names_in_path(wire_format: str, path: str) -> tuple[str | None, list[str]]:
    """Returns the model and the deployments that the path names, as an empty body names none."""
    parsed_request: ParsedRequest = by_name(wire_format).parse_request(b"{}", path=path)
    return parsed_request.model_id, _DEPLOYMENT.findall(path)


def _distinct(names: Iterable[JSON]) -> tuple[str, ...]:
    """Returns the names without duplicates, and without the paths that Gemini's bodies may have."""
    texts = [text(name) for name in names if name]
    found = [plain_model(name) for name in texts if name]
    return tuple(found) if len(found) < 2 else tuple(dict.fromkeys(found))


def _max_tokens(values: dict[str, JSON]) -> int | None:
    """Returns the limit of tokens, times the number of choices."""
    if not values:
        return None
    limit, n_choices = _limit(values, _LIMITS), count(values.get("n")) or 1
    for name in _SETTINGS:
        settings = fields(values.get(name))
        limit = limit if limit is not None else _limit(settings, _NESTED)
        n_choices *= count(settings.get("candidateCount")) or 1
    return None if limit is None else limit * n_choices


def _limit(values: dict[str, JSON], names: Iterable[str]) -> int | None:
    found = (count(values.get(name)) for name in names)
    return next((limit for limit in found if limit is not None), None)
