"""Verifies checkpoints against the log: those in the database, and those that anchors hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.conf import settings

from capture.evidence.checkpoint import Checkpoint as Head
from capture.evidence.note import InvalidNote, KeyType, Note, VerifierKey, encode
from capture.evidence.tree import ReadTile, Tree
from capture.ledger.log.read import MissingTile
from reports.evidence import key
from reports.evidence.anchors.held import AnchorFailed
from reports.evidence.anchors.progress import name_of, open_anchor
from reports.models import Checkpoint
from reports.verification.findings import Damage, Finding


def read_keys() -> list[VerifierKey]:
    """Returns the keys of the log, and those by which it cosigns. Raises InvalidNote."""
    keys = key.verifier_keys()
    return keys + [VerifierKey(one.name, KeyType.COSIGNATURE, one.public) for one in keys]


def verify_checkpoints(start: int, end: int, read_tile: ReadTile) -> Iterator[Finding]:
    """Verifies the checkpoints of more than `start` entries, up to `end`."""
    found = list(Checkpoint.objects.filter(size__gt=start, size__lte=end).order_by("size"))
    if not found:
        return
    try:
        keys = read_keys()
    except InvalidNote as error:
        yield Finding(Damage.ALTERED, f"a key of the log cannot be read: {error}")
        keys = []
    for one in found:
        yield from _verify_checkpoint(one, keys)
        yield from _verify_root(one.size, one.root, f"the checkpoint of {one.size}", read_tile)


def _verify_checkpoint(one: Checkpoint, keys: Sequence[VerifierKey]) -> Iterator[Finding]:
    place = one.size - 1
    try:
        note = Note.parse(one.note.encode())
        head = Head.parse(note.text)
        signers = note.signers(keys)
    except InvalidNote as error:
        what = f"the checkpoint of {one.size} entries cannot be read: {error}"
        yield Finding(Damage.ALTERED, what, place)
        return
    if keys and {signer.type for signer in signers} != {KeyType.NOTE, KeyType.COSIGNATURE}:
        what = f"the checkpoint of {one.size} entries is not signed by a key of this log"
        yield Finding(Damage.ALTERED, what, place)
    if (head.size, encode(head.root)) != (one.size, one.root):
        what = f"the checkpoint of {one.size} entries is stored with another size or root"
        yield Finding(Damage.ALTERED, what, place)


def _verify_root(size: int, root: str, what: str, read_tile: ReadTile) -> Iterator[Finding]:
    try:
        is_same = encode(Tree(size, read_tile).root()) == root
    except (MissingTile, IndexError) as error:
        yield Finding(Damage.CUT, f"{what} entries cannot be compared: {error}", size - 1)
        return
    if not is_same:
        told = f"{what} entries signed another log: one of these entries was altered since"
        yield Finding(Damage.REWRITTEN, told, size - 1)


def verify_lost(log_size: int) -> Iterator[Finding]:
    """Finds checkpoints of more entries than there are."""
    lost = Checkpoint.objects.filter(size__gt=log_size).order_by("-size").first()
    if lost is not None:
        at = f"{lost.at:%Y-%m-%d %H:%M:%S} UTC"
        what = (
            f"the log had {lost.size} entries at {at}, as its checkpoint says, and has {log_size}"
        )
        yield Finding(Damage.CUT, what, log_size)


def verify_anchors(log_size: int, read_tile: ReadTile) -> tuple[list[Finding], list[Any]]:
    """Returns what differs, and what each anchor holds. One that cannot be asked proves nothing,
    and is no damage."""
    findings: list[Finding] = []
    states: list[Any] = []
    for address in settings.AGENTLEDGER.anchors:
        name = name_of(address)
        state: dict[str, Any] = {"name": name, "n_checkpoints": 0, "size": None, "failure": None}
        states.append(state)
        try:
            keys = key.verifier_keys()
            if not keys:
                continue
            for note in open_anchor(address, keys).notes():
                found = _verify_held(note, keys, f"the anchor {name}", log_size, read_tile)
                if found is None:
                    continue
                head, different = found
                state["n_checkpoints"] += 1
                state["size"] = max(state["size"] or 0, head.size)
                findings += different
        except (AnchorFailed, InvalidNote, OSError) as error:
            state["failure"] = str(error)
    return findings, states


def _verify_held(
    note: Note, keys: Sequence[VerifierKey], who: str, log_size: int, read_tile: ReadTile
) -> tuple[Head, list[Finding]] | None:
    """Returns None if the note is of another log: a folder may be that of several."""
    try:
        head = Head.parse(note.text)
    except InvalidNote:
        return None
    if head.origin not in {one.name for one in keys}:
        return None
    holds = f"{who} holds a checkpoint of {head.size}"
    try:
        is_ours = bool(note.signers(keys))
    except InvalidNote as error:
        return head, [Finding(Damage.ALTERED, f"{holds} entries that is damaged: {error}")]
    if not is_ours:
        what = f"{holds} entries of this log, by a key that the ledger does not know"
        return head, [Finding(Damage.REWRITTEN, what)]
    if head.size > log_size:
        what = f"{holds} entries, and the log has {log_size}"
        return head, [Finding(Damage.CUT, what, log_size)]
    if encode(head.root) != (actual := _root(head.size, read_tile)):
        told = f"{holds} entries that this log does not extend: it was rewritten since"
        return head, [Finding(Damage.REWRITTEN, told if actual else f"{told}, or damaged")]
    return head, []


def _root(size: int, read_tile: ReadTile) -> str | None:
    try:
        return encode(Tree(size, read_tile).root())
    except (MissingTile, IndexError):
        return None
