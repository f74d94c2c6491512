"""How anchors are spelled in AGENTLEDGER_ANCHORS: where checkpoints go that are to be kept outside
the database."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from capture.evidence.note import InvalidNote, KeyType, VerifierKey

MAX_LENGTH = 500


class AnchorKind(StrEnum):
    FILE = "file"
    FOLDER = "folder"
    GIT = "git"
    WITNESS = "witness"
    TIMESTAMP = "timestamp"


@dataclass(frozen=True, slots=True)
class AnchorAddress:
    """`target` is a path or a URL. A witness has a key; the authority's certificates are a file."""

    name: str  # as the operator spelled it
    kind: AnchorKind
    target: str
    key: VerifierKey | None = None
    certificates: str | None = None


def parse_address(text: str) -> AnchorAddress:
    """Raises ValueError, whose text is what would have been accepted."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"anchors of at most {MAX_LENGTH} characters")
    address, _, fragment = text.partition("#")
    if address.startswith("tsa+"):
        url = _url(address.removeprefix("tsa+"))
        return AnchorAddress(text, AnchorKind.TIMESTAMP, url, certificates=fragment or None)
    if "://" in address:
        return AnchorAddress(text, AnchorKind.WITNESS, _url(address), _cosigner(fragment))
    if address.startswith("git:"):
        return AnchorAddress(text, AnchorKind.GIT, text.removeprefix("git:"))
    kind = AnchorKind.FOLDER if text.endswith("/") else AnchorKind.FILE
    return AnchorAddress(text, kind, text)


def _url(text: str) -> str:
    try:
        url = urlsplit(text)
        is_usable = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:  # a port that is no number, half an IPv6 address
        is_usable = False
    if not is_usable or "@" in text or any(character.isspace() for character in text):
        raise ValueError("an http:// or https:// URL without user or spaces")
    return text.rstrip("/")


def _cosigner(text: str) -> VerifierKey:
    try:
        key = VerifierKey.parse(text)
    except InvalidNote:
        key = None
    if key is None or key.type != KeyType.COSIGNATURE:
        raise ValueError("a witness's URL, a #, and its key for cosignatures (type 04)")
    return key
