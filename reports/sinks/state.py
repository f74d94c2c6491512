"""What the sinks' process tells of itself: a file beside the spool, so that /readyz need not ask a
database that may be away."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from capture.spool.folder import Folder

TELL_EVERY_S = 2.0
SILENT_FOR_S = 30.0
FAR_BEHIND_S = 60.0


@dataclass(slots=True)
class SinkState:
    name: str
    state: str = "starting"  # following | standby (another process follows) | waiting
    seq: int = 0
    behind: int = 0  # calls that it has not taken
    behind_since: float | None = None  # epoch seconds; None: it has taken all
    reason: str | None = None  # why it waits
    without: str | None = None  # what it must do without


def _path(folder: Folder) -> Path:
    return folder.path / "sinks.json"


def tell(folder: Folder, states: list[SinkState]) -> None:
    target = _path(folder)
    unnamed = target.with_suffix(".new")
    unnamed.write_text(json.dumps({"at": time.time(), "sinks": [asdict(one) for one in states]}))
    unnamed.rename(target)


def told(folder: Folder) -> dict[str, Any]:
    """What was told last; `sinks` is empty before that."""
    try:
        found: dict[str, Any] = json.loads(_path(folder).read_text())
    except (FileNotFoundError, ValueError):
        return {"at": None, "sinks": []}
    return found


def why_degraded(found: dict[str, Any], *, running: bool) -> Iterator[str]:
    if not running:
        yield "the sinks have ended; they are being started again, search reads what they left"
        return
    if found["at"] is None:
        return
    silent_s = time.time() - found["at"]
    if silent_s > SILENT_FOR_S:
        yield f"the sinks have not told of themselves for {silent_s:.0f} s"
    for sink in found["sinks"]:
        if sink["reason"] and sink["state"] != "starting":
            yield f"{sink['name']} waits, and goes on by itself: {sink['reason']}"
        since = sink["behind_since"]
        if since is not None and time.time() - since > FAR_BEHIND_S:
            yield f"{sink['name']} is {sink['behind']} calls behind"
        if sink["without"]:
            yield f"{sink['name']}: {sink['without']}"
