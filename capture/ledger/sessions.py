"""Sessions and their totals, which the recorder keeps up to date as it adds calls."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from capture.exchange import Outcome
from capture.ledger import bulk_sql
from capture.ledger.bulk_sql import Row, chunks
from capture.models import Ledger, Session, SessionValue
from capture.parsing.parsed_call import ParsedCall
from capture.wire.registry import FREE_FORMATS

# The largest totals that the columns hold.
MAX_TOTAL = {
    "tokens_in": 2**63 - 1,
    "tokens_out": 2**63 - 1,
    "cost_usd": Decimal(10**10 - 1),
    "latency_ms": float("inf"),
}

# A column of a call, and the field of its session that has the total.
_TOTALS = [(name, f"total_{name}") for name in MAX_TOTAL]
_TOTALS_OF_FREE = [(name, field) for name, field in _TOTALS if not name.startswith("tokens_")]

# A column of a call, and the field of its session that lists the distinct values.
LISTS = {
    "model_id": "models",
    "agent_name": "agents",
    "user_id": "users",
    "app_id": "apps",
    "environment": "environments",
}

# A session's lists hold the first values: they are read and written with every batch.
MAX_LISTED = 1_000

_FIELDS = [field.attname for field in Session._meta.concrete_fields]
# Readers set these, so the recorder must not overwrite them.
_READERS_FIELDS = {"labels", "note", "pinned", "deleted_at", "deletion_index"}
_RECORDERS_FIELDS = [name for name in _FIELDS if name not in _READERS_FIELDS]
# Looking up a member of an enum takes longer than comparing with it.
_COMPLETED, _REFUSED = Outcome.COMPLETED.value, Outcome.REFUSED.value
_CORRECTED_TOTALS = ("tokens_in", "tokens_out", "cost_usd")


class SessionRows:
    """The sessions of a batch: those in the ledger that its calls belong to, and new ones."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._sessions: dict[str, Session] = {}  # by session id
        self._values: list[Row] = []
        self.new_ids: set[int] = set()

    def find(self, calls: Iterable[ParsedCall]) -> None:
        ids = {id_ for call in calls if (id_ := call.ledger_field("session_id"))}
        for some in chunks(sorted(ids)):
            found = Session.objects.not_deleted().filter(session_id__in=some)
            self._sessions.update({session.session_id: session for session in found})

    def open(self, session_id: str, at: datetime) -> int:
        """Returns the id of the session of this name, which is new if the ledger has none."""
        if session_id not in self._sessions:
            self._ledger.last_session_id += 1
            self.new_ids.add(self._ledger.last_session_id)
            self._sessions[session_id] = Session(
                id=self._ledger.last_session_id,
                session_id=session_id,
                started_at=at,
                last_call_at=at,
            )
        return self._sessions[session_id].id

    def session_of(self, call: ParsedCall) -> Session | None:
        session_id = call.ledger_field("session_id")
        return self._sessions[session_id] if session_id else None

    def find_by_id(self, id_: int | None) -> Session | None:
        """Returns the session if a call of this batch belongs to it."""
        return next((s for s in self._sessions.values() if s.id == id_), None)

    def add_call(self, session: Session, row: Row, *, n_calls: int) -> None:
        self._add_values(session, add_to_totals(session, row, n_calls=n_calls))

    def take_out(self, session: Session, row: Row, *, n_calls: int) -> None:
        """Takes a recorded call out of the totals. It is to be recorded anew, so the names and the
        times of the session stay."""
        session.call_count -= n_calls
        session.refused_count -= n_calls if row["outcome"] == Outcome.REFUSED else 0
        session.error_count -= row["outcome"] not in (Outcome.COMPLETED, Outcome.REFUSED)
        for name in MAX_TOTAL:
            if row[name] is not None:
                total = getattr(session, f"total_{name}") or 0
                setattr(session, f"total_{name}", total - row[name])

    def correct(self, old: Row, new: Row) -> None:
        """Replaces the usage and the cost of a recorded call in its session's totals."""
        session = self.find_by_id(old["session_id"])
        if session is None:
            session = Session.objects.not_deleted().filter(pk=old["session_id"]).first()
            if session is None:
                return
            self._sessions[session.session_id] = session
        session.revision += 1
        for name in _CORRECTED_TOTALS:
            if (old[name], new[name]) != (None, None):
                total: Any = getattr(session, f"total_{name}") or 0
                total += (new[name] or 0) - (old[name] or 0)
                setattr(session, f"total_{name}", min(total, MAX_TOTAL[name]))
        self._add_values(session, add_to_lists(session, new))

    def _add_values(self, session: Session, values: Iterable[tuple[str, str]]) -> None:
        for name, value in values:
            self._values.append({"session_id": session.id, "name": name, "value": value})

    def write(self) -> None:
        new: list[Row] = []
        old: list[Row] = []
        for session in self._sessions.values():
            is_new = session.id in self.new_ids
            (new if is_new else old).append(session_row(session, is_new=is_new))
        bulk_sql.insert(Session, new)
        bulk_sql.insert(SessionValue, self._values)
        bulk_sql.update(Session, old, key="id")


def add_to_totals(session: Session, row: Row, *, n_calls: int) -> list[tuple[str, str]]:
    """Adds the row of a call. Returns what `add_to_lists` returns."""
    session.revision += 1
    session.n_logged += 1
    row["session_call"] = session.n_logged
    timestamp: datetime = row["timestamp"]
    session.started_at = min(session.started_at, timestamp)
    session.last_call_at = max(session.last_call_at, timestamp)
    session.call_count += n_calls
    if row["outcome"] == _REFUSED:
        session.refused_count += n_calls
    elif row["outcome"] != _COMPLETED:
        session.error_count += 1
    # The tokens of a counting call are used by the call that follows.
    for name, field in _TOTALS_OF_FREE if row["wire_format"] in FREE_FORMATS else _TOTALS:
        if row[name] is not None:
            total = (getattr(session, field) or 0) + row[name]
            setattr(session, field, min(total, MAX_TOTAL[name]))
    return add_to_lists(session, row)


def add_to_lists(session: Session, row: Row) -> list[tuple[str, str]]:
    """Adds the names that a call carries. Returns the names and values of SessionValue that are
    new, by which the session can be found from now on."""
    new = []
    for name, field in LISTS.items():
        values, value = getattr(session, field), row[name]
        if value is not None and len(values) < MAX_LISTED and value not in values:
            values.append(value)
            new.append((name, value))
    if new:
        session.names = session_names(session)
    return new


def session_names(session: Session) -> str:
    """Returns the text in which a substring search looks: `Session.names`."""
    names = [session.session_id, *session.agents, *session.users, *session.labels]
    return "\n".join(names).casefold()


def session_row(session: Session, *, is_new: bool) -> Row:
    """Returns all fields of a new session, else those that the recorder owns."""
    names = _FIELDS if is_new else _RECORDERS_FIELDS
    return {name: getattr(session, name) for name in names}
