"""Anchors in the file system: a file to which checkpoints are appended, and a folder with a file
for each. On a disk of others, or one that is written once, they outlive what happens here."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from capture.evidence.note import InvalidNote, Note, VerifierKey
from reports.evidence.anchors.held import AnchorFailed, newer, split_notes
from reports.models import Checkpoint

SUFFIX = ".checkpoint"
# The last checkpoint in a file is looked for in so many bytes at its end.
TAIL = 256 * 1024


@dataclass(frozen=True, slots=True)
class FileAnchor:
    path: Path
    keys: Sequence[VerifierKey]

    takes_all = True

    def take(self, checkpoints: Sequence[Checkpoint], held_size: int) -> None:
        missing = newer(checkpoints, self._tail(), self.keys)
        if missing:
            # Before them, the end of the line and of the note that a crash left unfinished.
            _append(self.path, "\n" + "".join(f"\n{one.note}" for one in missing))

    def notes(self) -> Iterator[Note]:
        with self.path.open(encoding="utf-8", errors="replace") as file:
            yield from split_notes(file)

    def _tail(self) -> list[Note]:
        """A file that may be appended to but not read, or that is not there yet, has none."""
        try:
            with self.path.open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL))
                lines = file.read().decode(errors="replace").splitlines(keepends=True)
        except (FileNotFoundError, PermissionError):
            return []
        return list(split_notes(lines))


@dataclass(frozen=True, slots=True)
class FolderAnchor:
    path: Path
    keys: Sequence[VerifierKey]

    takes_all = True

    def take(self, checkpoints: Sequence[Checkpoint], held_size: int) -> None:
        if not self.path.is_dir():
            # It is not made here: a disk that is not mounted would look as if it were.
            raise AnchorFailed(f"there is no folder {self.path}")
        for one in newer(checkpoints, self._newest(), self.keys):
            file = self.path / f"{self._prefix()}{one.size:012d}{SUFFIX}"
            partial = file.with_name(f".{file.name}")
            partial.unlink(missing_ok=True)
            _append(partial, one.note)
            partial.rename(file)

    def notes(self) -> Iterator[Note]:
        for file in sorted(self.path.glob(f"{self._prefix()}*{SUFFIX}")):
            yield from _read(file)

    def _newest(self) -> list[Note]:
        for file in sorted(self.path.glob(f"{self._prefix()}*{SUFFIX}"), reverse=True):
            if found := _read(file):
                return found
        return []

    def _prefix(self) -> str:
        """The folder may be that of several ledgers."""
        return file_name(self.keys[0].name) + "-"


def file_name(origin: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]", "_", origin)


def _read(file: Path) -> list[Note]:
    try:
        return [Note.parse(file.read_bytes())]
    except InvalidNote:
        return []


def _append(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())
