"""The tables of the ledger. The recorder alone writes calls, in the order of `Call.seq`. A text
that is null is unknown, which is not the same as empty."""

from capture.models.calls import (
    Binary,
    Call,
    CallBody,
    CallQuerySet,
    Message,
    PriceCorrection,
    Session,
    SessionQuerySet,
    SessionValue,
    ToolCall,
)
from capture.models.deletions import DeletedSession, TakenOver, Tombstone
from capture.models.fields import FIELD_LENGTH, NAME_LENGTH
from capture.models.ledger import Ledger, LogEntry, LogTile, SpoolPosition
from capture.models.stops import Stop, StopQuerySet
from capture.models.sums import Rollup, RollupKey, Spend, SpendQuerySet

__all__ = [
    "Session",
    "SessionQuerySet",
    "SessionValue",
    "Call",
    "CallQuerySet",
    "PriceCorrection",
    "CallBody",
    "Message",
    "Binary",
    "ToolCall",
    "Tombstone",
    "TakenOver",
    "DeletedSession",
    "Stop",
    "StopQuerySet",
    "Spend",
    "SpendQuerySet",
    "RollupKey",
    "Rollup",
    "Ledger",
    "SpoolPosition",
    "LogTile",
    "LogEntry",
    "FIELD_LENGTH",
    "NAME_LENGTH",
]
