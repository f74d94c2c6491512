"""A git repository as an anchor: each checkpoint is a commit to a file in it. What the repository
then is pushed to is up to its owner's hooks."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from capture.evidence.note import Note, VerifierKey
from reports.evidence.anchors.files import FileAnchor, file_name
from reports.evidence.anchors.held import AnchorFailed
from reports.models import Checkpoint

COMMAND_S = 30.0
MAX_REASON = 200


@dataclass(frozen=True, slots=True)
class GitAnchor:
    path: Path
    keys: Sequence[VerifierKey]

    takes_all = True

    def take(self, checkpoints: Sequence[Checkpoint], held_size: int) -> None:
        if not self.path.is_dir():
            raise AnchorFailed(f"there is no folder {self.path}")
        self._file().take(checkpoints, held_size)
        name = self._file().path.name
        self._git("add", "--", name)
        # What was written before a crash is committed now.
        if self._git("status", "--porcelain", "--", name):
            message = f"Checkpoint of {checkpoints[-1].size} entries of {self.keys[0].name}"
            self._git("commit", "--quiet", "--message", message, "--", name)

    def notes(self) -> Iterator[Note]:
        return self._file().notes()

    def _file(self) -> FileAnchor:
        return FileAnchor(self.path / f"{file_name(self.keys[0].name)}.checkpoints", self.keys)

    def _git(self, *arguments: str) -> str:
        """Returns what the command writes. Raises AnchorFailed."""
        who = {"NAME": "AgentLedger", "EMAIL": "agentledger@localhost"}
        names = {f"GIT_{role}_{k}": v for role in ("AUTHOR", "COMMITTER") for k, v in who.items()}
        try:
            done = subprocess.run(
                ["git", "-C", str(self.path), *arguments],
                env={**os.environ, **names, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=COMMAND_S,
            )
        except FileNotFoundError:
            raise AnchorFailed("the command git is not installed") from None
        except subprocess.TimeoutExpired:
            raise AnchorFailed(f"git {arguments[0]} takes longer than {COMMAND_S:.0f} s") from None
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip().partition("\n")[0][:MAX_REASON]
            raise AnchorFailed(f"git {arguments[0]}: {said}")
        return done.stdout
