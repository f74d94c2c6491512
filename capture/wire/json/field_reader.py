"""Reads some top-level fields of a JSON object, each of its occurrences, and skips the rest.

msgspec reads a small body (`read_fields`): it takes a third of a microsecond, and 0.3 ms a
megabyte. A large one, which may be hostile, comes in pieces (`FieldReader`). There, a value that is
skipped is searched for its end alone, in windows, by methods of `bytes` that run in C: 64 KiB take
a tenth of a millisecond, one of the worst kind, and nothing is kept of them. So it costs little
whatever stands in a body, and other threads get their turn between two windows.

It accepts more than JSON (NaN, lone surrogates, a BOM, bytes that are not UTF-8, any depth, values
that are none): whatever a provider may accept must be found here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from itertools import accumulate, islice

import msgspec

from capture.wire.types import Unreadable

MOST_FIELDS = 1_000
LONGEST_VALUE = 64 * 2**10
"""The most bytes of a field that is read."""

LONGEST_KEY = 256
DEEPEST = 16
"""The most objects and arrays around a field that is looked for within others."""

LONG_STRING = 1_000
"""The fewest bytes of a string that may be an image, audio or a file."""

_FIRST_WINDOW = 2**10
_LARGEST_WINDOW = 32 * 2**10
_BOM = b"\xef\xbb\xbf"
_blanks = re.compile(rb"[ \t\n\r]*+")
_atom = re.compile(rb"[-+.0-9A-Za-z]*+")
_bracket = re.compile(rb"[][{}]")
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_NOT_MARKS = bytes(set(range(256)) - set(b'[]{}"'))
# Signed: behind an opening bracket the depth is one more, behind a closing one 255, or -1, more.
_STEPS = bytes(1 if byte in b"[{" else 255 for byte in range(256))
_NOT_BASE64 = bytes(
    set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=")
)
# One of these stands before base64 in every wire format.
_SIGNS = (b"base64", b"inlineData", b"inline_data", b"input_audio")
_LONGEST_SIGN = max(map(len, _SIGNS))


Wanted = Callable[[str], str | None]
"""Returns the name under which a field is read, by its key; None: it is skipped."""


class _Key:
    """A key that equals no other one: of two fields of one name, both are found."""

    __slots__ = ("text",)

    def __init__(self, _: type, text: str) -> None:
        self.text = text


_all_fields = msgspec.json.Decoder(dict[_Key, msgspec.Raw], dec_hook=_Key).decode


def read_fields(body: bytes, wanted: Wanted) -> list[tuple[str, bytes]]:
    """Reads a small body: returns every occurrence of its fields, in order, as raw JSON. Raises
    Unreadable."""
    try:
        found = _all_fields(body)
    except (ValueError, RecursionError):  # ValueError: msgspec's own, and not UTF-8
        reader = FieldReader(wanted)
        reader.read(iter((body,)))
        return reader.fields
    return [
        (name, bytes(raw)) for key, raw in found.items() if (name := wanted(key.text)) is not None
    ]


class FieldReader:
    """Reads a body once. What was found stays here, wherever reading ends.

    `fields` has every occurrence of a field, in order, as raw JSON. `n_bytes` have been read, of
    which `n_binary_bytes` are images, audio and files. Fields are also looked for within those
    that `within` names, in lower case, and in the objects of their arrays: there, one that comes
    again with the same value is not kept again.
    """

    def __init__(self, wanted: Wanted, within: frozenset[str] = frozenset()) -> None:
        self.fields: list[tuple[str, bytes]] = []
        self.n_bytes = 0
        self.n_binary_bytes = 0
        self._wanted = wanted
        self._within = within
        self._depth = 0
        self._pieces: Iterator[bytes] = iter(())
        self._data = b""
        self._at = 0
        self._has_sign = False
        self._before = b""  # the end of the last window

    def read(self, pieces: Iterator[bytes]) -> None:
        """Raises Unreadable, and whatever `pieces` raises."""
        self._pieces = pieces
        while len(self._data) < len(_BOM) and self._read_more():
            pass
        self._at = len(_BOM) if self._data.startswith(_BOM) else 0
        match self._next():
            case b"{":
                self._read_object()
            case b"[":
                self._read_value(keep=0)
            case _:
                raise Unreadable("it is not JSON")
        if self._next():
            raise Unreadable("something follows its JSON")

    def _read_more(self) -> bool:
        piece = next(self._pieces, None)
        if piece is None:
            return False
        self.n_bytes += len(piece)
        self._data = self._data[self._at :] + piece
        self._at = 0
        return True

    def _next(self) -> bytes:
        """Returns the next byte after blanks, which is not taken yet; empty at the end."""
        while True:
            found = _blanks.match(self._data, self._at)
            assert found is not None
            self._at = found.end()
            if self._at < len(self._data):
                return self._data[self._at : self._at + 1]
            if not self._read_more():
                return b""

    def _take(self, marks: bytes) -> bytes:
        """Takes one of these bytes after blanks."""
        mark = self._next()
        if not mark:
            raise Unreadable("its JSON is cut short")
        if mark not in marks:
            raise Unreadable("it is not JSON")
        self._at += 1
        return mark

    def _read_object(self) -> None:
        self._take(b"{")
        if self._next() == b"}":
            self._at += 1
            return
        for _ in range(MOST_FIELDS):
            if self._next() != b'"':
                raise Unreadable("its JSON is cut short" if not self._next() else "it is not JSON")
            key = self._read_value(keep=LONGEST_KEY)
            self._take(b":")
            name = "" if key is None else _text(key)
            if self._within and name.lower() in self._within:
                self._look_within()
            elif wanted := self._wanted(name):
                self._keep(wanted, self._read_value(keep=LONGEST_VALUE))
            else:
                self._read_value(keep=0)
            if self._take(b",}") == b"}":
                return
        raise Unreadable(f"it has more than {MOST_FIELDS:,} fields")

    def _keep(self, name: str, value: bytes | None) -> None:
        if value is None:
            raise Unreadable(f"its {name} is longer than {LONGEST_VALUE:,} bytes")
        if self._depth == 0:
            self.fields.append((name, value))
        elif (name, value) not in self.fields:
            if len(self.fields) == MOST_FIELDS:
                raise Unreadable(f"it has more than {MOST_FIELDS:,} fields")
            self.fields.append((name, value))

    def _look_within(self) -> None:
        """Takes a value, and what is looked for in it or, if it is an array, in its objects."""
        self._depth += 1
        if self._depth > DEEPEST:
            raise Unreadable("it is too deep")
        match self._next():
            case b"{":
                self._read_object()
            case b"[":
                self._take(b"[")
                if self._next() == b"]":
                    self._at += 1
                else:
                    self._look_within()
                    while self._take(b",]") == b",":
                        self._look_within()
            case _:
                self._read_value(keep=0)
        self._depth -= 1

    def _read_value(self, *, keep: int) -> bytes | None:
        """Takes a value, and returns it unless it is longer than `keep` bytes."""
        mark = self._next()
        if not mark:
            raise Unreadable("its JSON is cut short")
        kept = bytearray()
        windows = self._windows() if mark in b'"[{' else self._windows_of_atom()
        for window in windows:
            if len(kept) <= keep:
                kept += window[: keep + 1]
        return bytes(kept) if len(kept) <= keep else None

    def _windows_of_atom(self) -> Iterator[bytes]:
        n_bytes = 0
        while True:
            found = _atom.match(self._data, self._at)
            assert found is not None
            yield found[0]
            n_bytes += len(found[0])
            self._at = found.end()
            if self._at < len(self._data) or not self._read_more():
                break
        if not n_bytes:
            raise Unreadable("it is not JSON")

    def _windows(self) -> Iterator[bytes]:
        """Takes a string, an array or an object, and yields it window by window."""
        size = _FIRST_WINDOW
        value = _Value(is_string=self._data[self._at : self._at + 1] == b'"')
        if value.is_string:
            self._at += 1
            yield b'"'
        while True:
            window = self._data[self._at : self._at + size]
            n_backslashes = len(window) - len(window.rstrip(b"\\"))
            if n_backslashes % 2:  # what it escapes is not in this window
                window = window[:-1]
            if not window:
                if not self._read_more():
                    raise Unreadable("its JSON is cut short")
                continue
            # What is escaped ends no string. The positions stay as they are.
            plain = window.replace(b"\\\\", b"__").replace(b'\\"', b"__")
            end = value.follow(plain)
            self._count_binaries(plain[:end])
            self._at += len(window) if end is None else end
            yield window[:end]
            if end is not None:
                return
            size = min(size * 4, _LARGEST_WINDOW)

    def _count_binaries(self, window: bytes) -> None:
        if not self._has_sign:
            around = self._before + window
            self._has_sign = any(sign in around for sign in _SIGNS)
            self._before = around[-_LONGEST_SIGN:]
        if self._has_sign:
            self.n_binary_bytes += _binary_bytes(window)


class _Value:
    """Where the reader is within a string, an array or an object."""

    def __init__(self, *, is_string: bool) -> None:
        self.is_string = is_string
        self._depth = 0
        self._is_in_string = is_string

    def follow(self, window: bytes) -> int | None:
        """Returns where in the window the value ends; None: it goes on."""
        if self.is_string:
            end = window.find(b'"')
            return None if end < 0 else end + 1
        # Without anything between, two quotation marks may go: what is within a string stays so.
        marks = window.translate(None, _NOT_MARKS).replace(b'""', b"").split(b'"')
        brackets = b"".join(marks[int(self._is_in_string) :: 2])
        if self._depth:  # else the first one opens the value
            brackets = brackets.replace(b"{}", b"").replace(b"[]", b"")
        n_closing = brackets.count(b"]") + brackets.count(b"}")
        if n_closing >= self._depth and -self._depth in _depths(brackets):
            return self._find_end(window)
        self._depth += len(brackets) - 2 * n_closing
        self._is_in_string ^= len(marks) % 2 == 0
        return None

    def _find_end(self, window: bytes) -> int:
        pieces = window.split(b'"')
        first_outside = int(self._is_in_string)
        brackets = b"".join(pieces[first_outside::2]).translate(None, _NOT_BRACKETS)
        n_before = _depths(brackets).index(-self._depth)
        position = 0
        for index, piece in enumerate(pieces):
            if index % 2 == first_outside:
                n_brackets = len(piece.translate(None, _NOT_BRACKETS))
                if n_before < n_brackets:
                    found = next(islice(_bracket.finditer(piece), n_before, None))
                    return position + found.end()
                n_before -= n_brackets
            position += len(piece) + 1
        raise AssertionError("the bracket was counted")


def _depths(brackets: bytes) -> list[int]:
    """Returns the depth behind each bracket, from that before the first one."""
    return list(accumulate(memoryview(brackets.translate(_STEPS)).cast("b")))


def count_binary_bytes(body: bytes) -> int:
    """Returns how much of a body is images, audio and files: long strings of base64."""
    n_bytes = _binary_bytes(body)
    return n_bytes if n_bytes and any(sign in body for sign in _SIGNS) else 0


def _binary_bytes(text: bytes) -> int:
    strings = [string for string in text.split(b'"') if len(string) >= LONG_STRING]
    return sum(len(s) - (s.find(b",", 0, LONG_STRING) + 1) for s in strings if _is_base64(s))


def _is_base64(string: bytes) -> bool:
    """Judges by some places of a long string, which may be a data URL."""
    step = len(string) // 16
    sample = b"".join([string[start : start + 64] for start in range(0, len(string), step)])
    return len(sample.translate(None, _NOT_BASE64)) >= 0.97 * len(sample)


def _text(key: bytes) -> str:
    try:
        text = json.loads(key.decode("utf-8", "surrogateescape"), strict=False)
    except ValueError:
        raise Unreadable("it is not JSON") from None
    return str(text)
