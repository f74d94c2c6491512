"""The file in which the recorder reports its state, for /readyz."""

from __future__ import annotations

import json
import logging
import os
import time
from pathlib import Path

from capture.spool.folder import replace_file

logger = logging.getLogger("agentledger.recorder")


class StateFile:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._last: dict[str, object] = {}
        self._is_failing = False

    def write(self, state: str, **facts: object) -> None:
        """`state` is recording, waiting (for the database), stuck (on the disk) or ended. Nothing
        is written while nothing changes. A state that cannot be written stops nothing."""
        content: dict[str, object] = {"state": state, **facts}
        if content == self._last:
            return
        reported = {**content, "pid": os.getpid(), "since": time.time()}
        try:
            replace_file(self._path, json.dumps(reported).encode())
        except OSError as error:
            if not self._is_failing:
                logger.warning("the recorder's state cannot be written, it goes on: %s", error)
            self._is_failing = True
        else:
            self._last, self._is_failing = content, False
