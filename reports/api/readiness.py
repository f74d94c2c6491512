"""Readiness: whether this process accepts calls and records them, and what is wrong."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from capture.proxy import runtime
from capture.proxy.runtime import Runtime
from capture.spool import quarantine
from reports.evidence.readiness import why_without_evidence
from reports.sinks.state import read_states, why_degraded
from reports.verification.weekly import why_not_intact

# The recorder takes milliseconds for a call, and seconds for the worst.
STUCK_AFTER_S = 30.0


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
    n_set_aside, n_gaps = quarantine.count(process.folder)
    degraded = [*_why_not_recorded(process, recorder), *_why_degraded(process)]
    degraded += _why_incomplete(recorder, n_set_aside, n_gaps)
    degraded += why_degraded(
        sinks,
        is_running=process.sinks.is_running(),
        keeps_ending=process.sinks.keeps_ending,
    )
    evidence = sinks.get("checkpoints", {})
    degraded += why_without_evidence(evidence)
    verification = sinks.get("verification", {})
    degraded += why_not_intact(verification)
    status = "down" if down else "degraded" if degraded else "ready"
    facts = {
        "reasons": down + degraded,
        "spool_bytes": process.folder.size(),
        "spool_max_bytes": process.writer.max_bytes,
        "running": process.n_running,
        "ingest": _ingest(process, recorder),
        "recorder": recorder,
        "quarantine": {"calls": n_set_aside, "damaged": n_gaps},
        "sinks": sinks["sinks"],
        "checkpoints": evidence,
        "verification": verification,
        "counters": dataclasses.asdict(process.counters),
    }
    return Readiness(status, facts)


def _why_down(process: Runtime) -> list[str]:
    reasons = []
    if process.stopping:
        reasons.append("this process is stopping")
    if not process.writer.has_room():
        what = "refused" if process.config.on_full == "block" else "not recorded"
        why = "or its disk is full" if process.folder.path.exists() else "was deleted, restart"
        reasons.append(f"the spool {why}: calls are {what}")
    return reasons


def _ingest(process: Runtime, recorder: dict[str, Any]) -> str:
    """Returns what happens to the calls that have ended."""
    if process.recorder.keeps_ending:
        return "restarting"
    if recorder.get("state") == "waiting":
        return "waiting for the database"
    if recorder.get("state") == "stuck" or process.writer.backlog.waits_for_s() > STUCK_AFTER_S:
        return "stuck"
    return "starting" if recorder.get("state") == "starting" else "recording"


def _why_not_recorded(process: Runtime, recorder: dict[str, Any]) -> Iterator[str]:
    ended = process.recorder
    if ended.keeps_ending:
        yield (
            f"the recorder has ended {ended.n_ends} times soon after its start, the last time with"
            f" code {ended.last_code}; it is started again, and calls wait in the spool"
        )
    elif not ended.is_running():
        yield "the recorder has ended and is being restarted; calls wait in the spool"
    if recorder.get("state") == "waiting":
        yield f"the database is unavailable, calls wait: {recorder.get('reason')}"
    elif recorder.get("state") == "stuck":
        yield f"the spool's disk fails, calls wait: {recorder.get('reason')}"
    elif (waits_for_s := process.writer.backlog.waits_for_s()) > STUCK_AFTER_S:
        yield f"calls wait in the spool, and none was recorded for {waits_for_s:.0f} s"


def _why_incomplete(recorder: dict[str, Any], n_set_aside: int, n_gaps: int) -> Iterator[str]:
    if n_set_aside:
        yield (
            f"{n_set_aside} calls could not be recorded in full and are set aside:"
            " `manage.py requeue --list` says why"
        )
    if n_gaps:
        yield f"{n_gaps} damaged parts of the spool are in quarantine"
    if recorder.get("left_alone"):
        yield (
            f"{recorder['left_alone']} segments of the spool are left alone: the recorder's log"
            " says why"
        )


def _why_degraded(process: Runtime) -> Iterator[str]:
    if process.admission.stops.outage_reason:
        yield process.admission.stops.outage_reason
    limiter = process.limiter
    if limiter.state.outage_reason:
        yield f"limits and budgets are not enforced: {limiter.state.outage_reason}"


def _recorder(process: Runtime) -> dict[str, Any]:
    """Returns the state that the recorder wrote last."""
    try:
        state: dict[str, Any] = json.loads(process.folder.recorder_state.read_text())
    except (FileNotFoundError, ValueError):
        return {"state": "starting"}
    return state
