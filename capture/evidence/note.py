"""Signed notes (c2sp.org/signed-note): a text, an empty line, and a line for each signature.

Whoever trusts none of the keys must not believe the text. Lines of unknown keys are ignored, so
that keys can be rotated and witnesses can add their cosignatures.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

# Whatever strangers send is refused above these. A verifier must accept 16 signatures at least.
MAX_NOTE = 64 * 1024
MAX_SIGNATURES = 64
MAX_NAME = 255

KEY_SIZE = 32
SIGNATURE_SIZE = 64
TIME_SIZE = 8
_LINE_START = "\u2014 "


class InvalidNote(ValueError):
    """A note, a key or a proof is not what it should be: one sentence says why."""


class KeyType(IntEnum):
    """What a key signs: notes, or checkpoints that it has seen, with the time."""

    NOTE = 0x01
    COSIGNATURE = 0x04


@dataclass(frozen=True)
class VerifierKey:
    """A public Ed25519 key with its name."""

    name: str
    type: KeyType
    public: bytes

    @cached_property
    def id(self) -> bytes:
        return sha256(self.name.encode() + b"\n" + bytes([self.type]) + self.public).digest()[:4]

    def text(self) -> str:
        """Returns it as its readers are configured: `name+id+key`."""
        return f"{self.name}+{self.id.hex()}+{encode(bytes([self.type]) + self.public)}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        name, _, rest = text.strip().partition("+")
        id_hex, _, encoded = rest.partition("+")
        check_name(name)
        key = decode(encoded)
        if len(key) != 1 + KEY_SIZE or key[0] not in tuple(KeyType):
            raise InvalidNote("a verifier key holds no Ed25519 key for notes or cosignatures")
        found = cls(name, KeyType(key[0]), key[1:])
        if found.id.hex() != id_hex:
            raise InvalidNote(f"the id of the verifier key {name} does not belong to its key")
        return found

    def has_signed(self, message: bytes, signature: bytes) -> bool:
        # Imported here: it takes a tenth of a second and 9 MB, and most processes never ask.
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class Signature:
    """A line of a note: by whom, and the bytes, which begin with the time if it is a
    cosignature."""

    name: str
    key_id: bytes
    data: bytes

    def line(self) -> str:
        return f"{_LINE_START}{self.name} {encode(self.key_id + self.data)}\n"

    def is_by(self, key: VerifierKey) -> bool:
        return (self.name, self.key_id) == (key.name, key.id)

    @property
    def time_s(self) -> int:
        """The time of a cosignature, in seconds since 1970."""
        return int.from_bytes(self.data[:TIME_SIZE], "big")

    def is_valid(self, text: str, key: VerifierKey) -> bool:
        if key.type == KeyType.NOTE:
            return key.has_signed(text.encode(), self.data)
        if len(self.data) != TIME_SIZE + SIGNATURE_SIZE:
            return False
        return key.has_signed(cosigned_message(text, self.time_s), self.data[TIME_SIZE:])


@dataclass(frozen=True, slots=True)
class Note:
    text: str  # ends in a newline
    signatures: tuple[Signature, ...]

    def __str__(self) -> str:
        return self.text + "\n" + "".join(signature.line() for signature in self.signatures)

    @classmethod
    def parse(cls, note: bytes) -> Note:
        """Raises InvalidNote."""
        if len(note) > MAX_NOTE:
            raise InvalidNote(f"a note is longer than {MAX_NOTE} bytes")
        try:
            whole = note.decode()
        except UnicodeDecodeError:
            raise InvalidNote("a note is not UTF-8") from None
        if any(character < " " and character != "\n" for character in whole):
            raise InvalidNote("a note contains a control character")
        text, separator, lines = whole.rpartition("\n\n")
        if not separator or not lines.endswith("\n"):
            raise InvalidNote("a note has no text, or no signatures after an empty line")
        return cls(text + "\n", tuple(parse_signatures(lines)))

    def signers(self, keys: Iterable[VerifierKey]) -> dict[VerifierKey, Signature]:
        """Returns the valid signatures of these keys. Raises InvalidNote if one of theirs is not
        valid, or is there twice."""
        found = {}
        for key in keys:
            signatures = [one for one in self.signatures if one.is_by(key)]
            if len(signatures) > 1:
                raise InvalidNote(f"a note has two signatures of {key.name}")
            if signatures:
                if not signatures[0].is_valid(self.text, key):
                    raise InvalidNote(f"the signature of {key.name} is not valid")
                found[key] = signatures[0]
        return found

    def with_signatures(self, more: Sequence[Signature]) -> Note:
        """Returns the note with these signatures too, each key's latest one."""
        new = {(one.name, one.key_id) for one in more}
        kept = [one for one in self.signatures if (one.name, one.key_id) not in new]
        return Note(self.text, (*kept, *more))


def parse_signatures(lines: str) -> list[Signature]:
    """Returns the signatures of the lines, each of which ends in a newline. Raises InvalidNote."""
    if lines.count("\n") > MAX_SIGNATURES:
        raise InvalidNote(f"a note has more than {MAX_SIGNATURES} signatures")
    return [_parse_signature(line) for line in lines.removesuffix("\n").split("\n")]


def _parse_signature(line: str) -> Signature:
    name, space, encoded = line.removeprefix(_LINE_START).partition(" ")
    if not line.startswith(_LINE_START) or not space:
        raise InvalidNote("a signature's line is not a dash, a name and a signature")
    check_name(name)
    data = decode(encoded)
    if len(data) < 5:
        raise InvalidNote(f"the signature of {name} is too short")
    return Signature(name, data[:4], data[4:])


class Signer:
    """A private key with its name, which is the origin of the checkpoints that it signs."""

    def __init__(self, name: str, private: Ed25519PrivateKey) -> None:
        check_name(name)
        self.name = name
        self._private = private
        public = private.public_key().public_bytes_raw()
        self.key = VerifierKey(name, KeyType.NOTE, public)
        self.cosigner = VerifierKey(name, KeyType.COSIGNATURE, public)

    def sign(self, text: str) -> Signature:
        return Signature(self.name, self.key.id, self._private.sign(text.encode()))

    def cosign(self, text: str, time_s: int) -> Signature:
        """Says that at this time the checkpoint of this text was the latest that was seen of its
        log, and followed from those before it."""
        signature = self._private.sign(cosigned_message(text, time_s))
        data = time_s.to_bytes(TIME_SIZE, "big") + signature
        return Signature(self.name, self.cosigner.id, data)


def cosigned_message(text: str, time_s: int) -> bytes:
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()


def check_name(name: str) -> None:
    """Raises InvalidNote if no key may have this name."""
    has_odd = any(c.isspace() or c < " " or c == "+" for c in name)
    if not name or has_odd or not _is_encodable(name) or len(name.encode()) > MAX_NAME:
        raise InvalidNote("a key's name is empty, too long, or has spaces, + or control characters")


def _is_encodable(name: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in name)


def encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def decode(text: str) -> bytes:
    """Returns the bytes of Base64 that has no other spelling. Raises InvalidNote."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):  # ValueError: not ASCII
        raise InvalidNote("a line is not Base64") from None
    if encode(data) != text:
        raise InvalidNote("a line is not canonical Base64")
    return data


def parse_number(text: str) -> int:
    """Returns a decimal number below 2^63 that has no other spelling. Raises InvalidNote."""
    if len(text) > 19 or not text.isascii() or not text.isdigit() or str(int(text)) != text:
        raise InvalidNote("a number is not a decimal without leading zeros")
    number = int(text)
    if number >= 2**63:
        raise InvalidNote("a number is too large")
    return number
