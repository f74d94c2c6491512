"""Readiness: whether this process accepts calls and records them, and what is wrong."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from capture.proxy import runtime
from capture.proxy.runtime import Runtime
from reports.sinks.state import read_states, why_degraded


@dataclass(frozen=True, slots=True)
class Readiness:
    status: str  # ready | degraded | down
    facts: dict[str, Any]

    @property
    def status_code(self) -> int:
        return 503 if self.status == "down" else 200


def readiness() -> Readiness:
    process = runtime.current()
    if process is None:
        return Readiness("down", {"reasons": ["the proxy has not started"]})
    down = list(_why_down(process))
    recorder = _recorder(process)
    sinks = read_states(process.folder)
    degraded = list(_why_degraded(process, recorder))
    degraded += why_degraded(sinks, is_running=process.sinks.is_running())
    status = "down" if down else "degraded" if degraded else "ready"
    facts = {
        "reasons": down + degraded,
        "spool_bytes": process.folder.size(),
        "spool_max_bytes": process.writer.max_bytes,
        "running": process.n_running,
        "recorder": recorder,
        "sinks": sinks["sinks"],
        "counters": dataclasses.asdict(process.counters),
    }
    return Readiness(status, facts)


def _why_down(process: Runtime) -> list[str]:
    reasons = []
    if process.stopping:
        reasons.append("this process is stopping")
    if not process.writer.has_room():
        what = "refused" if process.config.on_full == "block" else "not recorded"
        reasons.append(f"the spool or its disk is full: calls are {what}")
    return reasons


def _why_degraded(process: Runtime, recorder: dict[str, Any]) -> list[str]:
    reasons = []
    if not process.recorder.is_running():
        reasons.append("the recorder has ended and is being restarted; calls wait in the spool")
    if process.admission.stops.outage_reason:
        reasons.append(process.admission.stops.outage_reason)
    limiter = process.limiter
    if limiter.state.outage_reason:
        reasons.append(f"limits and budgets are not enforced: {limiter.state.outage_reason}")
    if recorder.get("state") == "waiting":
        reasons.append(f"the database is unavailable, calls wait: {recorder.get('reason')}")
    if recorder.get("quarantined"):
        reasons.append(
            f"{recorder['quarantined']} calls could not be recorded and are in quarantine"
        )
    if recorder.get("damaged"):
        reasons.append(f"{recorder['damaged']} damaged parts of the spool are in quarantine")
    return reasons


def _recorder(process: Runtime) -> dict[str, Any]:
    """Returns the state that the recorder wrote last."""
    try:
        state: dict[str, Any] = json.loads(process.folder.recorder_state.read_text())
    except (FileNotFoundError, ValueError):
        return {"state": "starting"}
    return state
