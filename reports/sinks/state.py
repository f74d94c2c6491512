"""The state of the sinks' process, in a file beside the spool: /readyz needs no database, which may
be unavailable."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from capture.spool.folder import Folder, replace_file

logger = logging.getLogger("agentledger.sinks")

# What changes is written that often; what does not is repeated, as a sign of life.
WRITE_EVERY_S = 2.0
REPEAT_EVERY_S = 10.0
SILENT_FOR_S = 30.0
FAR_BEHIND_S = 60.0


@dataclass(slots=True)
class SinkState:
    name: str
    state: str = "starting"  # following | standby (another process follows) | waiting
    seq: int = 0
    behind: int = 0  # calls that it has not taken
    behind_since: float | None = None  # monotonic; None: it has taken all
    reason: str | None = None  # the reason for waiting
    without: str | None = None  # what the sink must do without


def _path(folder: Folder) -> Path:
    return folder.path / "sinks.json"


class StateFile:
    def __init__(self, folder: Folder) -> None:
        self._path = _path(folder)
        self._last: tuple[list[SinkState], dict[str, Any]] = ([], {})
        self._repeat_at = 0.0  # monotonic
        self._is_failing = False

    def write(self, states: list[SinkState], beside: dict[str, Any]) -> None:
        """States that cannot be written stop no sink: /readyz says that nothing was reported.
        `beside` has the states of the sinks' companions, by name."""
        if (states, beside) == self._last and time.monotonic() < self._repeat_at:
            return
        self._last = [replace(one) for one in states], beside
        self._repeat_at = time.monotonic() + REPEAT_EVERY_S
        content = {"at": time.monotonic(), "sinks": [asdict(one) for one in states], **beside}
        try:
            replace_file(self._path, json.dumps(content).encode())
            self._is_failing = False
        except OSError as error:  # the disk is full
            if not self._is_failing:
                logger.warning("the sinks' state cannot be written, they go on: %s", error)
            self._is_failing = True


def read_states(folder: Folder) -> dict[str, Any]:
    """Returns the states that were written last; `sinks` is empty before that."""
    try:
        states: dict[str, Any] = json.loads(_path(folder).read_text())
    except (FileNotFoundError, ValueError):
        return {"at": None, "sinks": []}
    return states


def why_degraded(states: dict[str, Any], *, is_running: bool, keeps_ending: bool) -> Iterator[str]:
    """Yields the reasons for which searches are incomplete or slow."""
    if keeps_ending:
        yield "the sinks end again and again; search reads the ledger meanwhile"
        return
    if not is_running:
        yield "the sinks have ended and are being restarted; search reads the ledger meanwhile"
        return
    if states["at"] is None:
        return
    silent_s = time.monotonic() - states["at"]
    if silent_s > SILENT_FOR_S:
        yield f"the sinks have not reported for {silent_s:.0f} s"
    for sink in states["sinks"]:
        if sink["reason"] and sink["state"] != "starting":
            yield f"{sink['name']} waits and will retry: {sink['reason']}"
        since = sink["behind_since"]
        if since is not None and time.monotonic() - since > FAR_BEHIND_S:
            yield f"{sink['name']} is {sink['behind']} calls behind"
        if sink["without"]:
            yield f"{sink['name']}: {sink['without']}"
