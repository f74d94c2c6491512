#!/usr/bin/env python3
"""Verifies an export of AgentLedger: a session as JSON, or a bundle (ZIP).

    python verify.py FILE [--key VERIFIER_KEY]

It needs Python 3.11 or later, nothing else, and no network. It exits with 0 if everything in the
file is what the log holds, or with 1 after the first thing that is wrong, and what it means.
Without a key that you know from elsewhere, the file is checked against the key in it, which shows
that it is whole, not whose it is. docs/evidence.md of AgentLedger describes what is proven, and
what is not.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import json
import math
import mmap
import re
import signal
import sys
import tempfile
import zipfile
from array import array
from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import IO, Any, NamedTuple

FORMAT = "agentledger-export/1"
EVIDENCE_FORMAT = "agentledger-evidence/1"
STATEMENT = "agentledger-export/1"
PROOF_HEADER = "c2sp.org/tlog-proof@v1"

# Above these a file is refused: no export has them.
MAX_ELEMENT = 2**30  # bytes of one call, or of its evidence
MAX_SMALL = 2**26  # bytes of what is neither: a checkpoint, the session's facts
MAX_UNPACKED = 2**36  # bytes of a bundle's JSON
MAX_DEPTH = 20_000


class Wrong(Exception):
    """Something in the file is not what it should be: what, and what that means."""


# --- Ed25519, RFC 8032 ---

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_SQRT_M1 = pow(2, (_P - 1) // 4, _P)

Point = tuple[int, int, int, int]
"""Extended coordinates X, Y, Z, T."""


def _add(a: Point, b: Point) -> Point:
    low = (a[1] - a[0]) * (b[1] - b[0]) % _P
    high = (a[1] + a[0]) * (b[1] + b[0]) % _P
    c, d = 2 * a[3] * b[3] * _D % _P, 2 * a[2] * b[2] % _P
    e, f, g, h = high - low, d - c, d + c, high + low
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _multiply(scalar: int, point: Point) -> Point:
    found: Point = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            found = _add(found, point)
        point = _add(point, point)
        scalar >>= 1
    return found


def _decode_point(data: bytes) -> Point | None:
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    if y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _SQRT_M1 % _P
    if (x * x - square) % _P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = _P - x
    return x, y, 1, x * y % _P


_BASE = _decode_point((4 * pow(5, _P - 2, _P) % _P).to_bytes(32, "little"))


def ed25519_is_valid(public: bytes, message: bytes, signature: bytes) -> bool:
    if len(public) != 32 or len(signature) != 64 or _BASE is None:
        return False
    key, r = _decode_point(public), _decode_point(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if key is None or r is None or s >= _L:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % _L
    left, right = _multiply(s, _BASE), _add(r, _multiply(k, key))
    return (left[0] * right[2] - right[0] * left[2]) % _P == 0 and (
        left[1] * right[2] - right[1] * left[2]
    ) % _P == 0


# --- signed notes and checkpoints, c2sp.org/signed-note and tlog-checkpoint ---

NOTE_KEY, COSIGNATURE_KEY = 1, 4


class Key(NamedTuple):
    """A verifier key, `name+id+base64(type, public key)`."""

    name: str
    type: int
    public: bytes

    @property
    def id(self) -> bytes:
        whole = self.name.encode() + b"\n" + bytes([self.type]) + self.public
        return hashlib.sha256(whole).digest()[:4]

    @classmethod
    def parse(cls, text: str) -> Key:
        name, _, rest = text.strip().partition("+")
        id_hex, _, encoded = rest.partition("+")
        data = _base64(encoded, "the verifier key")
        if not name or len(data) != 33 or data[0] not in (NOTE_KEY, COSIGNATURE_KEY):
            raise Wrong(f"{text[:100]!r} is no verifier key of Ed25519")
        key = cls(name, data[0], data[1:])
        if key.id.hex() != id_hex:
            raise Wrong(f"the verifier key {name} does not fit its id: it was altered")
        return key


class Note(NamedTuple):
    text: str
    signatures: list[tuple[str, bytes, bytes]]  # name, key id, data

    @classmethod
    def parse(cls, note: str, what: str) -> Note:
        text, separator, lines = note.rpartition("\n\n")
        if not separator or not lines.endswith("\n"):
            raise Wrong(f"{what} is no signed note: it was cut or altered")
        found = []
        for line in lines[:-1].split("\n"):
            dash, _, rest = line.partition(" ")
            name, _, encoded = rest.partition(" ")
            data = _base64(encoded, f"a signature of {what}")
            if dash != "\u2014" or len(data) < 5:
                raise Wrong(f"a signature's line of {what} is malformed")
            found.append((name, data[:4], data[4:]))
        return cls(text + "\n", found)

    def time_signed_by(self, key: Key) -> int | None:
        """Returns the time of a valid cosignature, 0 for a valid signature without a time; None
        if the key has not signed. Raises Wrong if its signature is not valid."""
        for name, key_id, data in self.signatures:
            if (name, key_id) != (key.name, key.id):
                continue
            time, message = 0, self.text.encode()
            if key.type == COSIGNATURE_KEY:
                time, data = int.from_bytes(data[:8], "big"), data[8:]
                message = f"cosignature/v1\ntime {time}\n".encode() + message
            if not ed25519_is_valid(key.public, message, data):
                raise Wrong(f"the signature of {name} is not valid: what it signed was altered")
            return time
        return None


def _base64(text: Any, what: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
        if base64.b64encode(data).decode() == text:
            return data
    except (binascii.Error, ValueError, TypeError):
        pass
    raise Wrong(f"{what} is not in Base64: it was altered")


class Checkpoint(NamedTuple):
    origin: str
    size: int
    root: bytes

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        lines = text.split("\n")
        if len(lines) < 4 or not re.fullmatch("[1-9][0-9]{0,18}", lines[1]):
            raise Wrong("the checkpoint says no origin, size and root")
        return cls(lines[0], int(lines[1]), _base64(lines[2], "the checkpoint's root"))


# --- the tree, RFC 6962 and RFC 9162 ---


def leaf_hash(record: bytes) -> bytes:
    return hashlib.sha256(b"\0" + record).digest()


def root_of_proof(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes | None:
    """Returns the root that a proof leads to; None if it has too few or too many hashes."""
    at, last, found = index, size - 1, leaf
    for one in proof:
        if last == 0:
            return None
        if at & 1 or at == last:
            found = hashlib.sha256(b"\1" + one + found).digest()
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            found = hashlib.sha256(b"\1" + found + one).digest()
        at, last = at >> 1, last >> 1
    return found if last == 0 else None


# --- JSON: read in pieces, and canonical as RFC 8785 has it ---

_not_blank = re.compile(rb"[^ \t\r\n]").search
_string = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL).match
_scalar = re.compile(rb"[^ \t\r\n,:{}\[\]\"]++").match
_to_bracket = re.compile(rb'(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+([{}\[\]])', re.DOTALL).match

Buffer = Any
"""A file in memory, or mapped into it."""


def _after_blanks(buffer: Buffer, at: int) -> int:
    found = _not_blank(buffer, at)
    return found.start() if found else len(buffer)


class Span(NamedTuple):
    """A JSON value within a file."""

    buffer: Buffer
    start: int
    end: int

    def bytes(self, limit: int) -> bytes:
        if self.end - self.start > limit:
            raise Wrong(f"a value of the file is larger than {limit:,} bytes: no export has such")
        return bytes(self.buffer[self.start : self.end])

    def load(self, limit: int = MAX_SMALL) -> Any:
        return load(self.bytes(limit))


def load(data: bytes) -> Any:
    """Reads JSON in which no object has a key twice, which readers would take for different
    objects."""
    try:
        return json.loads(data, object_pairs_hook=_object, parse_int=_integer)
    except RecursionError:
        raise Wrong("a value of the file is nested too deeply") from None
    except ValueError as error:
        raise Wrong(f"a value of the file is not JSON: {error}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Wrong("an object of the file has a key twice: readers would disagree about it")
    return found


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= 4000 else float(digits)


def _end_of_value(buffer: Buffer, start: int) -> int:
    first = buffer[start : start + 1]
    if first not in (b"{", b"["):
        found = _string(buffer, start) if first == b'"' else _scalar(buffer, start)
        if found is None:
            raise Wrong(f"the file is not JSON at byte {start}: it was cut or altered")
        return int(found.end())
    depth, at = 0, start
    while True:
        found = _to_bracket(buffer, at)
        if found is None:
            raise Wrong("the file ends within a value: it was cut")
        at = found.end()
        depth += 1 if found[1] in b"{[" else -1
        if depth == 0:
            return at


def _items(span: Span, brackets: bytes) -> Iterator[tuple[int, int]]:
    """Yields where each value of an array, or each key and each value of an object, begins and
    ends."""
    buffer, at = span.buffer, span.start
    if buffer[at : at + 1] != brackets[:1]:
        raise Wrong(f"byte {at} of the file begins no {'list' if brackets == b'[]' else 'object'}")
    separators = b"," if brackets == b"[]" else b":,"
    at = _after_blanks(buffer, at + 1)
    if buffer[at : at + 1] == brackets[1:]:
        return
    number = 0
    while True:
        end = _end_of_value(buffer, at)
        yield at, end
        at = _after_blanks(buffer, end)
        one = buffer[at : at + 1]
        is_last_possible = separators == b"," or number % 2 == 1
        if one == brackets[1:] and is_last_possible:
            return
        if one != separators[number % len(separators) :][:1]:
            raise Wrong(f"the file is not JSON at byte {at}: it was cut or altered")
        at = _after_blanks(buffer, at + 1)
        number += 1


def members(span: Span) -> dict[str, Span]:
    """Returns the values of an object by their keys."""
    found: dict[str, Span] = {}
    places = _items(span, b"{}")
    for start, end in places:
        key = Span(span.buffer, start, end).load(1000)
        if not isinstance(key, str) or key in found:
            raise Wrong(f"an object of the file has the key {key!r} twice, or none")
        found[key] = Span(span.buffer, *next(places))
    return found


def elements(span: Span) -> Iterator[Span]:
    return (Span(span.buffer, start, end) for start, end in _items(span, b"[]"))


MAX_INTEGER = 2**53 - 1


def canonical(value: Any) -> bytes:
    """Returns the canonical JSON (RFC 8785) of a value without integers beyond 53 bits."""
    return "".join(_canonical(value)).encode()


def _canonical(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield "{"
        for number, key in enumerate(sorted(value, key=lambda key: key.encode("utf-16-be"))):
            yield "," if number else ""
            yield json.dumps(key, ensure_ascii=False) + ":"
            yield from _canonical(value[key])
        yield "}"
    elif isinstance(value, list):
        yield "["
        for number, one in enumerate(value):
            yield "," if number else ""
            yield from _canonical(one)
        yield "]"
    elif isinstance(value, float):
        yield _number(value)
    elif isinstance(value, int) and not -MAX_INTEGER <= value <= MAX_INTEGER:
        raise Wrong(f"the integer {value} is beyond 53 bits: an export has it as a string")
    else:
        yield json.dumps(value, ensure_ascii=False)


def _number(number: float) -> str:
    """Returns a number as ECMAScript writes it."""
    if not math.isfinite(number):
        raise Wrong("a number is not finite: an export has it as a string")
    if number == 0:
        return "0"
    sign = "-" if number < 0 else ""
    mantissa, _, exponent = f"{abs(number)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0)
    if whole == "0":
        point = len(digits) - len(fraction)
    digits = digits.rstrip("0") or "0"
    if 0 < point <= 21:
        text = digits.ljust(point, "0")
        return sign + text[:point] + (f".{text[point:]}" if text[point:] else "")
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    head = digits[0] + (f".{digits[1:]}" if digits[1:] else "")
    return f"{sign}{head}e{point - 1:+d}"


# orjson's and Python's form of a number may differ here from the canonical one; so may the order of
# keys.
_may_differ = re.compile(rb"[0-9](?:\.0[^0-9]|e)|[0-9]{16}|[\xf0-\xf4]").search


def canonical_element(data: bytes, value: Any) -> bytes:
    """Returns the canonical JSON of a value that was read from `data`, which mostly is that."""
    plain = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    if plain == data and _may_differ(data) is None:
        return data
    return canonical(value)


# --- the bodies of requests and responses ---


class Pieces:
    """The pieces of bodies that the file has once, in the order of their first appearance."""

    SHORTEST = 64

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._ends = array("Q", [0])

    def body(self, pieces: Any, size: int) -> bytes:
        """Returns the bytes of these pieces. Raises Wrong where they are not `size` bytes."""
        body = bytearray()
        for piece in pieces if isinstance(pieces, list) else [pieces]:
            body += self._piece(piece)
            if len(body) > size:
                break
        if len(body) != size:
            raise Wrong("its body is not as long as the log says: a piece was altered or removed")
        return bytes(body)

    def _piece(self, piece: Any) -> bytes:
        if isinstance(piece, int) and not isinstance(piece, bool):
            return self._known(piece)
        if isinstance(piece, str):
            text, data = piece, piece.encode("utf-8", "replace")
        elif isinstance(piece, dict) and isinstance(piece.get("base64"), str):
            text = piece["base64"]
            data = _base64(text, "a piece of its body")
        else:
            raise Wrong("a piece of its body is none: it was altered")
        if len(text) >= self.SHORTEST:
            self._file.seek(0, 2)
            self._file.write(data)
            self._ends.append(self._file.tell())
        return data

    def _known(self, number: int) -> bytes:
        if not 0 <= number < len(self._ends) - 1:
            raise Wrong(f"its body has piece {number}, which does not come before it")
        self._file.seek(self._ends[number])
        return self._file.read(self._ends[number + 1] - self._ends[number])


# Where the messages and the tools are in the bodies of these formats.
_HISTORY: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "anthropic_messages": (("messages",), ("tools",)),
    "anthropic_count_tokens": (("messages",), ("tools",)),
    "bedrock_converse": (("messages",), ("toolConfig",)),
    "bedrock_invoke": (("messages", "prompt", "inputText"), ("tools", "toolConfig")),
    "cohere_chat": (("messages",), ("tools",)),
    "gemini": (("contents",), ("tools",)),
    "gemini_interactions": (("input",), ("tools",)),
    "ollama": (("messages", "prompt", "input"), ("tools",)),
    "openai_chat": (("messages",), ("tools", "functions")),
    "openai_completions": (("prompt",), ()),
    "openai_embeddings": (("input",), ()),
    "openai_responses": (("input",), ("tools",)),
}
_reference = re.compile(r"agentledger-binary:[a-z0-9.+/_-]+;bytes=([0-9]+);sha256=([0-9a-f]{64})")
_DEEPEST = 200
_TOO_DEEP = f"(left out: nested deeper than {_DEEPEST} levels)"
_surrogates = re.compile("[\ud800-\udfff]")


def shows_body(call: dict[str, Any], body: bytes) -> bool:
    """Returns False where messages and tools cannot be compared with the body. Raises Wrong where
    they are not those in it."""
    names = _HISTORY.get(call["wire_format"])
    try:
        sent = json.loads(_text(body).lstrip("\ufeff \t\r\n"), parse_int=_integer)
    except (ValueError, RecursionError):
        sent = None
    if names is None or not isinstance(sent, dict):
        return call["messages"] is None and call["tools"] is None
    if call["messages"] is None and call["notes"]:
        return False  # it was not parsed
    history = list(_history(sent, names[0]))
    shown = call["messages"]
    if len(history) == 1 and isinstance(history[0], str):
        shown = [shown]
    if not same(shown if shown is not None else [], history):
        raise Wrong("its messages are not those of the request that was recorded: altered")
    tools = next((v for k, v in sent.items() if k in names[1] and v is not None), None)
    if not same(call["tools"], tools):
        raise Wrong("its tools are not those of the request that was recorded: altered")
    return True


def _history(sent: dict[str, Any], names: Sequence[str]) -> Iterator[Any]:
    for name, value in sent.items():
        if name in names and isinstance(value, list):
            is_numbers = bool(value) and isinstance(value[0], int | float)
            yield from [value] if is_numbers else value
        elif name in names and isinstance(value, str | dict):
            yield value


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace")


def same(shown: Any, sent: Any) -> bool:
    """Returns whether the export shows a value that was sent: numbers and texts that canonical JSON
    cannot carry in another form, binaries by their digest."""
    waiting = [(shown, sent, 0)]
    while waiting:
        one, other, depth = waiting.pop()
        if isinstance(one, dict) and isinstance(other, dict):
            keyed = {_cleaned(key): value for key, value in other.items()}
            if one.keys() != keyed.keys():
                return False
            waiting += [(one[key], keyed[key], depth + 1) for key in one]
        elif isinstance(one, list) and isinstance(other, list):
            if len(one) != len(other):
                return False
            waiting += [(*pair, depth + 1) for pair in zip(one, other, strict=True)]
        elif one == _TOO_DEEP and isinstance(other, dict | list) and depth >= _DEEPEST:
            continue
        elif not _is_same_scalar(one, other):
            return False
    return True


def _is_same_scalar(shown: Any, sent: Any) -> bool:
    if isinstance(shown, str) and isinstance(sent, str):
        clean = _cleaned(sent)
        return shown in (sent, clean, clean.replace("\0", "\ufffd")) or _is_reference(shown, sent)
    if isinstance(sent, bool) or isinstance(shown, bool) or sent is None or shown is None:
        return shown is sent
    if isinstance(shown, str) and isinstance(sent, int | float):
        return shown == _named(sent)
    return bool(shown == sent) and not isinstance(shown, dict | list)


def _named(number: int | float) -> str | None:
    """Returns a number that canonical JSON cannot carry as the text that stands for it."""
    if isinstance(number, float) and not math.isfinite(number):
        return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
    return str(int(number)) if abs(number) > MAX_INTEGER else None


def _cleaned(text: str) -> str:
    if not _surrogates.search(text):
        return text
    paired = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return paired.replace("\0", "\ufffd")


def _is_reference(shown: str, sent: str) -> bool:
    """Returns whether a text has a reference to the bytes that were sent in its place."""
    found = _reference.search(shown)
    if found is None or shown.count("agentledger-binary:") > 1:
        return False
    before, after = shown[: found.start()], shown[found.end() :]
    if not (sent.startswith(before) and sent.endswith(after)):
        return False
    encoded = sent[len(before) : len(sent) - len(after)]
    head, comma, rest = encoded.partition(",")
    encoded = rest if comma and head.startswith("data:") else encoded
    encoded = encoded.translate({45: "+", 95: "/", 10: None, 13: None}).rstrip("=")
    try:
        data = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False
    return (str(len(data)), hashlib.sha256(data).hexdigest()) == found.groups()


# --- what the log holds of a call ---

_SAME = (
    *("app_id", "attempt", "environment", "method", "model_id", "outcome", "parent_action_id"),
    *("price_source", "provider", "request_bytes", "response_bytes", "response_id"),
    *("response_model", "seq", "service_tier", "status_code", "stop_reason", "usage_source"),
    *("wire_format", "tokens_in", "tokens_out", "tokens_cache_read", "tokens_cache_write"),
    *("tokens_cache_write_1h", "tokens_reasoning", "tokens_audio_in", "tokens_audio_out"),
    *("tokens_image_in", "tokens_image_out", "action_id"),
)
_COMMITTED = (
    *("agent_name", "error_detail", "handoff_from", "handoff_to", "path"),
    *("session_id", "user_id"),
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def check_facts(call: dict[str, Any], leaf: dict[str, Any], corrected: dict[str, Any]) -> None:
    """Raises Wrong unless the call's fields are those that the log holds, as far as they were not
    corrected afterwards."""
    held = {**leaf, **corrected}
    for name in _SAME:
        _check(name, call.get(name), held[name])
    _check("timestamp", _microseconds(call["timestamp"]), held["at"])
    _check("streaming", int(call["streaming"]), held["streaming"])
    for name in ("latency_ms", "ttft_ms"):
        ms = call[name]
        _check(name, None if ms is None else round(ms * 1000), held[name.replace("ms", "us")])
    for name in ("cost_usd", "cache_savings_usd"):
        text = held[name]
        _check(name, call[name], None if text is None else float(text))
    refusal = call["refusal"]
    _check("refusal", refusal.get("code") if refusal else None, held["refusal_code"])


def _check(name: str, shown: Any, held: Any) -> None:
    if isinstance(shown, str) and isinstance(held, int):  # it is beyond 53 bits
        shown = int(shown) if re.fullmatch("-?[0-9]{1,30}", shown) else shown
    if shown != held or isinstance(shown, bool) != isinstance(held, bool):
        raise Wrong(
            f"its {name} is {shown!r}, and {held!r} in the log: it was altered after it was"
            " recorded"
        )


def _microseconds(text: str) -> int:
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)


def check_commitments(
    call: dict[str, Any], leaf: dict[str, Any], evidence: dict[str, Any], erased: set[str]
) -> None:
    """Raises Wrong unless the call's texts are those to which the log holds commitments."""
    texts: dict[str, Any] = {name: call[name] for name in _COMMITTED}
    texts["request"], texts["response"] = call["request_sha256"], call["response_sha256"]
    texts["texts"] = _written(call, evidence.get("arguments"))
    salts = dict(evidence["salts"])
    for name, text in texts.items():
        if leaf[name] is None or name in erased:
            if not (text is None or (name in erased and _is_erased(name, text))):
                raise Wrong(f"its {name} is there, and none in the log: it was added")
            continue
        salt = salts.pop(name, None)
        if salt is None or text is None:
            raise Wrong(f"its {name} or the salt of it is missing: it was removed")
        commitment = hashlib.sha256(_salt(salt) + text.encode("utf-8", "replace"))
        if commitment.hexdigest() != leaf[name]:
            fields = "content, reasoning or tool calls" if name == "texts" else name
            raise Wrong(f"its {fields} are not what the log has a commitment to: altered")
    if salts:
        raise Wrong(f"there are salts of what the log has no commitment to: {', '.join(salts)}")


def _is_erased(name: str, text: str) -> bool:
    """Returns whether nothing is left of an erased text. Tool calls keep their ids and names."""
    if name != "texts":
        return text == ""
    content, reasoning, called = json.loads(text)
    return content is None and reasoning is None and not any(one[2] for one in called)


def _written(call: dict[str, Any], arguments: Any) -> str:
    """Returns what the model wrote, as the log has a commitment to it."""
    called = []
    tool_calls = call["tool_calls"]
    if not isinstance(arguments, list) or len(arguments) != len(tool_calls):
        raise Wrong("it has more or fewer tool calls than were recorded")
    for tool_call, text in zip(tool_calls, arguments, strict=True):
        if tool_call["arguments"] != text:
            try:
                sent = json.loads(text.lstrip("\ufeff \t\r\n"), parse_int=_integer)
            except (ValueError, RecursionError):
                sent = text
            if not same(tool_call["arguments"], sent):
                raise Wrong("the arguments of a tool call are not those that were recorded")
        called.append([tool_call["id"], tool_call["name"], text])
    texts = [call["content"], call["reasoning"], called]
    return json.dumps(texts, separators=(",", ":"), ensure_ascii=False)


# --- the document ---


class Log:
    """The log as a checkpoint has it, and its entries that were shown to be in it."""

    def __init__(self, evidence: dict[str, Span], keys: Sequence[Key]) -> None:
        if _small(evidence, "format") != EVIDENCE_FORMAT:
            raise Wrong(f"its evidence is not of the format {EVIDENCE_FORMAT}")
        self.note_text = _text_of(evidence, "checkpoint")
        self.key_text = _text_of(evidence, "verifier_key")
        self.key = Key.parse(self.key_text)
        note = Note.parse(self.note_text, "the checkpoint")
        self.checkpoint = Checkpoint.parse(note.text)
        if self.checkpoint.origin != _small(evidence, "origin"):
            raise Wrong("the checkpoint is that of another log than the evidence says")
        if note.time_signed_by(self.key) is None:
            raise Wrong("the key in the file has not signed the checkpoint")
        known = [key for key in keys if key.type == NOTE_KEY]
        if known and self.key not in known:
            raise Wrong(
                f"the file has the key {self.key_text}, not the one that you know: somebody else"
                " signed it"
            )
        self.is_known = bool(known)
        self.cosigned = self._cosigned(note, keys)
        self.unchecked = {
            name
            for name, key_id, _ in note.signatures
            if (name, key_id) not in {(key.name, key.id) for key in (*keys, self.key, self._own)}
        }

    @property
    def _own(self) -> Key:
        return Key(self.key.name, COSIGNATURE_KEY, self.key.public)

    def _cosigned(self, note: Note, keys: Sequence[Key]) -> dict[str, int]:
        found = {}
        for key in (self._own, *keys):
            if key.type == COSIGNATURE_KEY:
                time = note.time_signed_by(key)
                if time is None and key is not self._own:
                    raise Wrong(f"{key.name} has not cosigned the checkpoint")
                if time is not None:
                    found[key.name] = time
        return found

    def entry(self, evidence: Any) -> dict[str, Any]:
        """Returns the record of an entry. Raises Wrong unless the log has it."""
        index, record, proof = (evidence.get(name) for name in ("index", "leaf", "proof"))
        if type(index) is not int or not isinstance(record, str) or not isinstance(proof, list):
            raise Wrong("its evidence has no index, record and proof")
        if not 0 <= index < self.checkpoint.size:
            raise Wrong(f"its place in the log, {index}, is not before the checkpoint")
        hashes = [_base64(one, "a hash of its proof") for one in proof[:64]]
        root = root_of_proof(leaf_hash(record.encode()), index, self.checkpoint.size, hashes)
        if root != self.checkpoint.root:
            raise Wrong(f"its record or its proof was altered: the log has another entry {index}")
        found = load(record.encode())
        if not isinstance(found, dict) or found.get("v") != 1:
            raise Wrong("its record is not of version 1, which is all that this program knows")
        return found


def _small(fields: dict[str, Span], name: str) -> Any:
    if name not in fields:
        raise Wrong(f"the file has no {name!r}: it was removed")
    return fields[name].load()


def _text_of(fields: dict[str, Span], name: str) -> str:
    text = _small(fields, name)
    if not isinstance(text, str):
        raise Wrong(f"{name!r} is no text: it was altered")
    return text


class Entries:
    """What the log says of the session's calls after they were recorded."""

    def __init__(self, log: Log, session_id: str, evidence: Iterator[Span]) -> None:
        self.corrections: dict[str, list[tuple[int, dict[str, Any]]]] = {}
        self.erased: dict[str, set[str]] = {}
        self.gone = array("Q")  # places of calls that were deleted or replaced
        self.n_deletions = 0
        for number, span in enumerate(evidence):
            try:
                self._add(log, session_id, span.load(MAX_ELEMENT))
            except Wrong as wrong:
                raise Wrong(f"entry {number} about the calls: {wrong}") from None

    def _add(self, log: Log, session_id: str, evidence: dict[str, Any]) -> None:
        entry = log.entry(evidence)
        about = str(entry.get("action_id"))
        match entry.get("kind"):
            case "correction":
                self.corrections.setdefault(about, []).append((evidence["index"], entry))
            case "erasure":
                self.erased.setdefault(about, set()).update(entry["fields"].split(","))
            case "replacement":
                self.gone.append(entry["index"])
            case "deletion":
                salted = _salt(evidence["salt"]) + session_id.encode("utf-8", "replace")
                if hashlib.sha256(salted).hexdigest() != entry["session"]:
                    raise Wrong("it is about another session")
                indices = evidence["indices"]
                lines = "".join(f"{index}\n" for index in indices).encode()
                digest = hashlib.sha256(lines).hexdigest()
                if (len(indices), digest) != (entry["count"], entry["indices"]):
                    raise Wrong("it deleted other calls than the file says: altered")
                self.gone.extend(indices)
                self.n_deletions += 1
            case kind:
                raise Wrong(f"the kind {kind!r} says nothing about calls")

    def corrected(self, action_id: str, leaf: dict[str, Any]) -> dict[str, Any]:
        """Returns what the corrections made of a call's fields, in the log's order."""
        values: dict[str, Any] = {}
        for _, entry in sorted(self.corrections.get(action_id, []), key=lambda one: one[0]):
            for name, value in entry.items():
                field = name[4:]
                if name.startswith("old_") and values.get(field, leaf.get(field)) != value:
                    raise Wrong(f"a correction of its {field} before the last one is missing")
            values.update(
                (name[4:], value) for name, value in entry.items() if name.startswith("new_")
            )
        return values


class Summary:
    """What was found, for whoever reads it."""

    def __init__(self) -> None:
        self.n_calls = self.n_without_body = self.n_with_other_messages = self.n_corrected = 0
        self.tokens_in = self.tokens_out = 0
        self.costs: list[float] = []
        self.first = self.last = ""

    def add(self, call: dict[str, Any]) -> None:
        self.n_calls += 1
        self.tokens_in += int(call["tokens_in"] or 0)
        self.tokens_out += int(call["tokens_out"] or 0)
        self.costs.append(call["cost_usd"] or 0.0)
        self.first = self.first or call["timestamp"]
        self.last = call["timestamp"]

    def lines(self, session_id: str, log: Log, entries: Entries) -> Iterator[str]:
        own = {"": 0, **log.cosigned}
        times = (f"{name} at {datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
                 for name, at in own.items() if at)  # fmt: skip
        yield f"{self.n_calls:,} calls of the session {session_id!r}, unaltered and complete"
        yield f"from {self.first} to {self.last}" if self.n_calls else "no calls"
        yield (
            f"{self.tokens_in:,} tokens in, {self.tokens_out:,} tokens out,"
            f" {math.fsum(self.costs):.6f} USD, as recorded and corrected"
        )
        yield f"checkpoint of {log.checkpoint.size:,} entries, signed by {log.key.name}"
        yield f"seen by {', '.join(times) or 'nobody who says when'}"
        if log.unchecked:
            names = ", ".join(sorted(log.unchecked))
            yield f"signatures that were not checked, since --key gave no key for them: {names}"
        yield (
            f"{self.n_corrected:,} calls corrected, {entries.n_deletions:,} deletions,"
            f" {len(entries.gone):,} calls deleted or replaced"
        )
        if self.n_without_body:
            yield (
                f"NOT PROVEN by the log: the messages of {self.n_without_body:,} calls whose"
                " bodies the ledger does not keep whole"
            )
        if self.n_with_other_messages:
            yield (
                f"NOT PROVEN by the log: the messages of {self.n_with_other_messages:,} calls"
                " whose bodies have another form"
            )
        yield (
            "Signed, but no part of the log: what is derived from the calls (tool_results,"
            " notes, labels, retry_of, headers and others)"
        )
        if log.is_known:
            yield "The key is the one that you gave."
        else:
            yield (
                f"Only the key inside the file was used: {log.key_text}. Compare it with one that"
                " you have from elsewhere (--key)."
            )


_OF_DOCUMENT = (
    *("format", "generator", "exported_at", "session", "calls", "coerced", "sha256", "evidence"),
)
_OF_EVIDENCE = (
    *("format", "origin", "verifier_key", "checkpoint", "statement", "calls", "entries"),
)
_OF_CALL = ("action_id", "index", "leaf", "salts", "proof", "arguments", "request", "response")


def _check_keys(fields: Any, names: Sequence[str], what: str) -> None:
    """Raises Wrong unless an object has these fields, all of them and no other."""
    for name in names:
        if name not in fields:
            raise Wrong(f"{what} has no {name!r}: it was removed")
    for name in fields:
        if name not in names:
            raise Wrong(f"{what} has {name!r}, which no export has: it was added")


def _salt(text: Any) -> bytes:
    if not isinstance(text, str) or not re.fullmatch("[0-9a-f]{32}", text):
        raise Wrong("a salt is malformed: it was altered")
    return bytes.fromhex(text)


class Document:
    """An export, opened."""

    def __init__(self, buffer: Buffer, keys: Sequence[Key]) -> None:
        start = _after_blanks(buffer, 3 if buffer[:3] == b"\xef\xbb\xbf" else 0)
        whole = Span(buffer, start, _end_of_value(buffer, start))
        if _after_blanks(buffer, whole.end) != len(buffer):
            raise Wrong("something stands after the end of the document")
        self.fields = members(whole)
        if _small(self.fields, "format") != FORMAT:
            raise Wrong(f"it is not of the format {FORMAT}, which is all that this program knows")
        if "evidence" not in self.fields:
            raise Wrong("it has no evidence: anybody could have written it")
        self.evidence = members(self.fields["evidence"])
        _check_keys(self.fields, _OF_DOCUMENT, "the document")
        _check_keys(self.evidence, _OF_EVIDENCE, "its evidence")
        self.log = Log(self.evidence, keys)
        self.session = _small(self.fields, "session")
        self.session_id: str = self.session["session_id"]
        self.entries = Entries(self.log, self.session_id, self._list(self.evidence, "entries"))

    @staticmethod
    def _list(fields: dict[str, Span], name: str) -> Iterator[Span]:
        if name not in fields:
            raise Wrong(f"the file has no {name!r}: it was removed")
        return elements(fields[name])

    def verify(self, progress: Callable[[int], None], visit: Callable[[Any], None]) -> list[str]:
        """Returns lines about what was verified. `progress` is told of the bytes that were read,
        `visit` of each call's evidence."""
        self._check_log()
        summary = Summary()
        digest = hashlib.sha256(b"[")
        evidence = self._list(self.evidence, "calls")
        with tempfile.TemporaryFile() as file:
            pieces = Pieces(file)
            for span in self._list(self.fields, "calls"):
                number = summary.n_calls
                proof_span = next(evidence, None)
                if proof_span is None:
                    raise Wrong(f"call {number} has no evidence: it was added, or that removed")
                try:
                    data = span.bytes(MAX_ELEMENT)
                    call = load(data)
                    if number:
                        digest.update(b",")
                    digest.update(canonical_element(data, call))
                    proof = proof_span.load(MAX_ELEMENT)
                    self._check_call(call, proof, pieces, summary)
                    visit(proof)
                except Wrong as wrong:
                    raise Wrong(f"call {number}: {wrong}") from None
                progress(span.end)
        if next(evidence, None) is not None:
            raise Wrong("there is evidence of more calls than the file has: calls were removed")
        digest.update(b"]")
        self._check_whole(digest.hexdigest(), summary)
        return list(summary.lines(self.session_id, self.log, self.entries))

    def _check_log(self) -> None:
        """Raises Wrong unless the log has all the records, and none is missing between them."""
        places: list[tuple[int, int]] = []
        for number, span in enumerate(self._list(self.evidence, "calls")):
            try:
                evidence = span.load(MAX_ELEMENT)
                if evidence["index"] is None:
                    raise Wrong("it was recorded before the ledger had a log: nothing proves it")
                _check_keys(evidence, _OF_CALL, "its evidence")
                leaf = self.log.entry(evidence)
                if leaf["kind"] != "call":
                    raise Wrong("the log has something else at its place")
                places.append((evidence["index"], leaf["session_call"]))
            except Wrong as wrong:
                raise Wrong(f"call {number}: {wrong}") from None
        self._check_numbers(places)

    def _check_call(
        self, call: dict[str, Any], evidence: dict[str, Any], pieces: Pieces, summary: Summary
    ) -> None:
        action_id = call["action_id"]
        if evidence["action_id"] != action_id:
            raise Wrong("its evidence is about another call: one was added, removed or moved")
        leaf = load(evidence["leaf"].encode())
        corrected = self.entries.corrected(action_id, leaf)
        check_facts(call, leaf, corrected)
        erased = self.entries.erased.get(action_id, set())
        check_commitments(call, leaf, evidence, erased)
        if call["session_id"] != self.session_id:
            raise Wrong("it is a call of another session")
        for name, sizes in (("request", "request_bytes"), ("response", "response_bytes")):
            given = evidence.get(name)
            if given is None:
                summary.n_without_body += name == "request" and call["messages"] is not None
                continue
            body = pieces.body(given, leaf[sizes] or 0)
            if hashlib.sha256(body).hexdigest() != call[f"{name}_sha256"]:
                raise Wrong(f"the body of its {name} is not the one that was recorded: altered")
            if name == "request" and not shows_body(call, body):
                summary.n_with_other_messages += 1
        summary.n_corrected += bool(corrected)
        summary.add(call)

    def _check_numbers(self, places: list[tuple[int, int]]) -> None:
        """Raises Wrong unless the calls that are missing between the session's calls are those that
        the log says were deleted or replaced."""
        gone = sorted(self.entries.gone)
        before, last = -1, 0
        for index, number in sorted(places):
            n_gone = bisect(gone, index - 1) - bisect(gone, before)
            if number - last - 1 > n_gone or number <= last:
                raise Wrong(
                    f"the session's calls from number {last + 1} to {number - 1} are missing, and"
                    " the log says of no deletion: they were removed"
                    if number > last
                    else f"two calls have the number {last} in the session: one was added"
                )
            before, last = index, number

    def _check_whole(self, digest: str, summary: Summary) -> None:
        if digest != _small(self.fields, "sha256"):
            raise Wrong(
                "the calls are not those of its `sha256`: something was altered that the log does"
                " not hold"
            )
        note = Note.parse(_text_of(self.evidence, "statement"), "the statement about the export")
        if note.time_signed_by(self.log.key) is None:
            raise Wrong("the log's key has not signed the statement about the export")
        coerced = hashlib.sha256(b"[")
        for number, span in enumerate(elements(self.fields["coerced"])):
            coerced.update((b"," if number else b"") + canonical(span.load()))
        coerced.update(b"]")
        stated = statement(
            self.log.note_text, canonical(self.session), summary.n_calls, digest,
            coerced.hexdigest(),
        )  # fmt: skip
        if note.text != stated:
            raise Wrong(
                "the session's facts, or its calls, are not those that the ledger signed when it"
                " exported them: calls were removed at the end, or something altered that the log"
                " does not hold"
            )


def statement(checkpoint: str, session: bytes, n_calls: int, sha256: str, coerced: str) -> str:
    """Returns what the log's key signs of an export: the digests of all that is in it."""
    return (
        f"{STATEMENT}\ncheckpoint {hashlib.sha256(checkpoint.encode()).hexdigest()}\n"
        f"session {hashlib.sha256(session).hexdigest()}\n"
        f"calls {n_calls} {sha256}\ncoerced {coerced}\n"
    )


# --- files ---


def verify_file(
    path: str, keys: Sequence[str] = (), progress: Callable[[int], None] = lambda _: None
) -> list[str]:
    """Returns lines about what was verified. Raises Wrong, and OSError where the file cannot be
    read."""
    known = [Key.parse(key) for key in keys]
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, MAX_DEPTH))
    try:
        with ExitStack() as stack:
            file: IO[bytes] = stack.enter_context(open(path, "rb"))
            bundle = None
            if file.read(4) == b"PK\3\4":
                bundle = stack.enter_context(zipfile.ZipFile(file))
                file = stack.enter_context(tempfile.TemporaryFile())
                _unpack(bundle, "export.json", file)
            file.seek(0, 2)
            if file.tell() == 0:
                raise Wrong("the file is empty")
            buffer = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            stack.callback(buffer.close)
            document = Document(buffer, known)
            if bundle is None:
                return document.verify(progress, lambda _: None)
            return _verify_bundle(bundle, document, progress)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise Wrong(f"a value is missing, or not of its kind ({error!r}): it was altered") from None
    except (RecursionError, MemoryError):
        raise Wrong("a value of the file is nested too deeply, or too large") from None
    except (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError) as error:
        raise Wrong(f"the bundle is damaged: {error}") from None
    finally:
        sys.setrecursionlimit(limit)


def _unpack(bundle: zipfile.ZipFile, name: str, file: IO[bytes]) -> None:
    size = 0
    with bundle.open(name) as packed:
        while data := packed.read(2**20):
            size += len(data)
            if size > MAX_UNPACKED:
                raise Wrong("the bundle's JSON is larger than any export")
            file.write(data)
    file.flush()


def _verify_bundle(
    bundle: zipfile.ZipFile, document: Document, progress: Callable[[int], None]
) -> list[str]:
    log = document.log
    known = {"export.json", "checkpoint", "log.vkey"}
    _check_member(bundle, "checkpoint", log.note_text)
    _check_member(bundle, "log.vkey", log.key_text + "\n")

    def visit(proof: dict[str, Any]) -> None:
        name = f"calls/{proof['action_id']}"
        hashes = "".join(f"{one}\n" for one in proof["proof"])
        text = f"{PROOF_HEADER}\nindex {proof['index']}\n{hashes}\n{log.note_text}"
        _check_member(bundle, f"{name}.leaf", proof["leaf"])
        _check_member(bundle, f"{name}.tlog-proof", text)
        known.update((f"{name}.leaf", f"{name}.tlog-proof"))

    lines = document.verify(progress, visit)
    others = [name for name in bundle.namelist() if name not in known]
    extra = [name for name in others if name.startswith("calls/")]
    if extra or len(bundle.namelist()) != len(set(bundle.namelist())):
        raise Wrong("the bundle has files of calls that its JSON does not have, or one twice")
    for name in others:
        with bundle.open(name) as packed:
            while packed.read(2**20):
                pass
    return [*lines, f"No part of the evidence: {', '.join(others)}"] if others else lines


def _check_member(bundle: zipfile.ZipFile, name: str, text: str) -> None:
    expected = text.encode()
    try:
        with bundle.open(name) as packed:
            data = packed.read(len(expected) + 1)
    except KeyError:
        raise Wrong(f"the bundle has no {name}: it was removed") from None
    if data != expected:
        raise Wrong(f"the bundle's {name} is not what its JSON says: one of them was altered")


def main() -> int:
    parser = argparse.ArgumentParser(description="Verify an export of AgentLedger.")
    parser.add_argument("file", metavar="FILE")
    parser.add_argument(
        "--key",
        action="append",
        default=[],
        metavar="VERIFIER_KEY",
        help="the log's key, or a witness's, known from elsewhere; may be given several times",
    )
    arguments = parser.parse_args()
    try:
        lines = verify_file(arguments.file, arguments.key)
    except (Wrong, OSError) as error:
        print(f"NOT VERIFIED: {error}", file=sys.stderr)
        return 1
    print("VERIFIED", *lines, sep="\n  ")
    return 0


if __name__ == "__main__":
    if hasattr(signal, "SIGPIPE"):  # not on Windows; `| head` ends it without a traceback
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main())
