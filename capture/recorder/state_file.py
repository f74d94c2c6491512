"""The file in which the recorder reports its state, for /readyz."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path


class StateFile:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._last: dict[str, object] = {}
        self.n_quarantined = 0

    def write(self, state: str, **facts: object) -> None:
        """`state` is recording, waiting or ended. Nothing is written while nothing changes."""
        content: dict[str, object] = {"state": state, "quarantined": self.n_quarantined, **facts}
        if content == self._last:
            return
        self._last = content
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps({**content, "pid": os.getpid(), "since": time.time()}))
        new.rename(self._path)
