"""The searched texts of a call. A message of a growing history belongs to the call that sent it
first."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

import msgspec
import zstandard
from django.db.models import QuerySet

from capture.ledger.bulk_sql import chunks
from capture.ledger.compression import unpack_text
from capture.ledger.message_refs import unpack_refs
from capture.models import Call, Message
from capture.wire.binaries.references import StoredText
from capture.wire.framing.actual_encoding import actual_content
from capture.wire.json.lenient import dump, load
from capture.wire.types import JSON
from reports.search.folding import normalize

logger = logging.getLogger("agentledger.search")

# No word contains it: folding.normalize turns it into a space.
SEPARATOR = "\x1e"
# The characters of one call that are searched.
MAX_CHARACTERS = 10_000_000
# The characters that are searched of a body that could not be parsed.
MAX_RAW_CHARACTERS = 200_000

NAMES = "agent_name user_id app_id model_id".split()
COLUMNS = (
    *("action_id", "seq", "wire_format", "error_detail", "session__session_id", *NAMES),
    *(f"body__{name}" for name in "content reasoning choices notes prompt_ref part_refs".split()),
)
# The keys of a message whose values describe its structure, or are not readable.
UNSEARCHED_KEYS = frozenset(
    "type role signature thoughtSignature thought_signature encrypted_content cache_control"
    " mimeType mime_type media_type".split()
)
# The keys of a tool's arguments, whose own keys are searched too.
ARGUMENTS = frozenset("arguments args input parameters".split())
SYSTEM_ROLES = ("system", "developer")
# Providers mark a tool's result by a message's role or type, a block's type, or a block's key.
RESULT_ROLES = ("tool", "function")
RESULT_TYPES = ("tool_result", "_call_output")
RESULT_KEYS = frozenset("functionResponse function_response toolResult".split())

# JSON's escapes of letters: a pair for what is beyond 16 bits, or one.
_escapes = re.compile(r"\\u(d[89ab][\da-f]{2})\\u(d[c-f][\da-f]{2})|\\u([\da-f]{4})", re.I | re.A)

_compress = zstandard.ZstdCompressor(level=3).compress
_decompress = zstandard.ZstdDecompressor().decompress
_decode = msgspec.msgpack.Decoder(tuple[list[str], str]).decode


class NewPart(NamedTuple):
    """A message or system prompt that no earlier call had sent."""

    kind: str
    packed: bytes | memoryview
    encoding: int

    @property
    def data(self) -> bytes:
        """The part itself, unpacked anew each time: all parts of a batch may be too much."""
        return unpack_text(self.packed, self.encoding).data


@dataclass(frozen=True, slots=True)
class Document:
    seq: int
    fields: list[str]  # the field of the call's JSON that each text is from
    joined: str  # the texts, between separators

    @property
    def texts(self) -> list[str]:
        return self.joined.split(SEPARATOR)

    def restrict(self, fields: Collection[str]) -> Document:
        """Returns the document with the texts of these fields alone."""
        pairs = [pair for pair in zip(self.fields, self.texts, strict=True) if pair[0] in fields]
        names, texts = [name for name, _ in pairs], [text for _, text in pairs]
        return Document(self.seq, names, SEPARATOR.join(texts))

    def pack(self) -> bytes:
        return _compress(msgspec.msgpack.encode((self.fields, self.joined)))

    @classmethod
    def unpack(cls, seq: int, data: bytes | memoryview) -> Document:
        fields, joined = _decode(_decompress(bytes(data)))
        return cls(seq, fields, joined)


def select_searched(calls: QuerySet[Call]) -> QuerySet[Call]:
    """Returns the calls with the columns that `build_documents` reads."""
    narrow = calls.select_related("body", "session").only(*COLUMNS)
    return narrow.prefetch_related("tool_call_rows")


def build_documents(calls: list[Call]) -> Iterator[Document]:
    new_parts = _read_new_parts(calls)
    return (_document(call, new_parts[call.pk]) for call in calls)


def _read_new_parts(calls: list[Call]) -> defaultdict[UUID, list[NewPart]]:
    """Returns the messages and the system prompt that each of these calls was the first to send."""
    refs = {ref for call in calls for ref in _refs(call)}
    ids = {call.pk for call in calls}
    first: dict[int, UUID] = {}
    for batch in chunks(sorted(refs)):
        rows = Message.objects.filter(pk__in=batch, kind__in=("message", "prompt"))
        first |= {id_: pk for id_, pk in rows.values_list("id", "action_id") if pk in ids}
    found: defaultdict[UUID, list[NewPart]] = defaultdict(list)
    for batch in chunks(sorted(first)):
        rows = Message.objects.filter(pk__in=batch).order_by("id")
        for id_, kind, data, encoding in rows.values_list("id", "kind", "data", "encoding"):
            found[first[id_]].append(NewPart(kind, data, encoding))
    return found


def _refs(call: Call) -> Iterator[int]:
    yield from unpack_refs(call.body.part_refs)
    if call.body.prompt_ref is not None:
        yield call.body.prompt_ref


def _document(call: Call, new_parts: list[NewPart]) -> Document:
    fields, texts = [], []
    room = MAX_CHARACTERS
    for field, text in (*_texts(call, new_parts), *_names(call)):
        text = normalize(text[: 2 * room])[:room]
        if text:
            fields.append(field)
            texts.append(text)
            room -= len(text)
    return Document(call.seq, fields, SEPARATOR.join(texts))


def _names(call: Call) -> Iterator[tuple[str, str]]:
    yield "action_id", str(call.pk)
    if call.session:
        yield "session_id", call.session.session_id
    for name in NAMES:
        if value := getattr(call, name):
            yield name, value


def _texts(call: Call, new_parts: list[NewPart]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    room = 2 * MAX_CHARACTERS
    try:
        for field, text in _read_texts(call, new_parts):
            found.append((field, text[:room]))
            room -= len(text)
            if room <= 0:
                break
        return found
    except Exception:  # one call's content, whatever it is, must not stop the index
        logger.exception("call %s can be searched by its names only", call.pk)
        return []


def _read_texts(call: Call, new_parts: list[NewPart]) -> Iterator[tuple[str, str]]:
    body = call.body
    for part in new_parts:
        if part.kind == "message":
            yield from _message(part.data, has_prompt=body.prompt_ref is not None)
    if body.content:
        yield "content", body.content
    if call.error_detail:
        yield "error_detail", call.error_detail
    if body.reasoning:
        yield "reasoning", body.reasoning
    for row in sorted(call.tool_call_rows.all(), key=lambda row: row.position):
        yield "tool_calls", f"{row.name or ''} {_arguments(row.arguments)} {row.tool_call_id or ''}"
    if body.choices:
        yield "choices", "\n".join(_strings(body.choices))
    for part in new_parts:
        if part.kind == "prompt":
            yield "system_prompt", part.data.decode(errors="replace")
    if call.wire_format == "raw" or body.notes:
        yield from _bodies(call)


def _bodies(call: Call) -> Iterator[tuple[str, str]]:
    """Yields both bodies of a call that could not be parsed."""
    body, heads = call.body, call.body.heads
    if body.frame is not None and body.frame_is_whole:
        request = unpack_text(body.frame, body.frame_encoding)
        yield "raw_request", _body_text(request, heads["request"])
    yield (
        "raw_response",
        _body_text(unpack_text(body.response, body.response_encoding), heads["response"]),
    )


def _body_text(text: StoredText, headers: list[list[str | None]] | None) -> str:
    data = text.data
    if not text.is_decoded:
        encodings = (value for name, value in headers or () if name == "content-encoding")
        data = actual_content(data, next(encodings, None), 4 * MAX_RAW_CHARACTERS)
    data = data[: 4 * MAX_RAW_CHARACTERS]  # a character takes four bytes at most
    value, note = load(data)
    found = data.decode(errors="replace") if note else "\n".join(_strings(value))
    return found[:MAX_RAW_CHARACTERS]


def _message(data: bytes, *, has_prompt: bool) -> Iterator[tuple[str, str]]:
    value, note = load(data)
    if note:
        yield "messages", data.decode(errors="replace")
        return
    if has_prompt and isinstance(value, dict) and value.get("role") in SYSTEM_ROLES:
        return  # it is the system prompt
    results, value = _split_results(value)
    yield "tool_results", read_escapes("\n".join(_strings(results)))
    yield "messages", "\n".join(_strings(value))


def read_escapes(text: str) -> str:
    """Returns what tools print as JSON, whole or cut, as what it says: `\\u00e4` as ä."""
    return _escapes.sub(_character, text) if "\\u" in text else text


def _character(escape: re.Match[str]) -> str:
    high, low, one = escape.groups()
    if high:
        return bytes.fromhex(high + low).decode("utf-16-be")
    character = chr(int(one, 16))
    # Half a pair is no character.
    return escape[0] if "\ud800" <= character <= "\udfff" else character


def _split_results(message: JSON) -> tuple[list[JSON], JSON]:
    """Returns the tool results of a message, and the rest of it."""
    if _is_result(message):
        return [message], None
    if isinstance(message, dict):
        for key in ("content", "parts"):
            blocks = message.get(key)
            if isinstance(blocks, list) and any(map(_is_result, blocks)):
                results = [block for block in blocks if _is_result(block)]
                rest = [block for block in blocks if not _is_result(block)]
                return results, {**message, key: rest}
    return [], message


def _is_result(value: JSON) -> bool:
    return isinstance(value, dict) and (
        value.get("role") in RESULT_ROLES
        or (isinstance(kind := value.get("type"), str) and kind.endswith(RESULT_TYPES))
        or not RESULT_KEYS.isdisjoint(value)
    )


def _strings(value: JSON) -> Iterator[str]:
    """Yields the searched texts of a JSON value, in order. It does not recurse: agents send JSON of
    any depth."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            waiting += reversed(value)
        elif isinstance(value, dict):
            waiting += reversed(list(_entries(value)))


def _entries(value: dict[str, JSON]) -> Iterable[JSON]:
    for key, entry in value.items():
        if key in ARGUMENTS and isinstance(entry, dict):
            yield dump(entry)
        elif key not in UNSEARCHED_KEYS:
            yield entry


def _arguments(text: str) -> str:
    """Returns arguments as the model wrote them, but without escapes that hide letters."""
    if "\\" not in text:
        return text
    value, note = load(text.encode(errors="replace"))
    return text if note else dump(value)
