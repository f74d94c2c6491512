"""The ledger as a whole: its last numbers, its log, and how far the spools were read."""

from __future__ import annotations

from django.db import models
from django.db.models import Index

from capture.models.fields import NAME_LENGTH, is_set


class Ledger(models.Model):
    """The one row whose lock makes recorders take turns, with the last numbers assigned."""

    identity = models.UUIDField(null=True)  # capture.ledger.identity
    last_seq = models.BigIntegerField(default=0)
    n_deletions = models.BigIntegerField(default=0)  # of sessions
    last_message_id = models.BigIntegerField(default=0)
    last_session_id = models.BigIntegerField(default=0)
    last_rollup_key_id = models.BigIntegerField(default=0)
    # How often messages were removed from scopes that still exist: recorders forget their ids.
    n_removals = models.BigIntegerField(default=0)
    log_size = models.BigIntegerField(default=0)
    log_at = models.DateTimeField(null=True)  # when the log had its last entry
    log_audit_id = models.BigIntegerField(default=0)  # the last entry of the audit log in it

    def __str__(self) -> str:
        return f"ledger at {self.last_seq}"


class SpoolPosition(models.Model):
    """The offset from which a segment of a spool is read on, committed with the calls before it."""

    segment = models.CharField(max_length=NAME_LENGTH, primary_key=True)
    offset = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.segment} at {self.offset}"


class LogTile(models.Model):
    """Hashes of the log's tree: capture.evidence.tree."""

    level = models.SmallIntegerField()
    index = models.BigIntegerField()
    pk = models.CompositePrimaryKey("level", "index")
    hashes = models.BinaryField()

    def __str__(self) -> str:
        return f"tile {self.index} of level {self.level}"


class LogEntry(models.Model):
    """An entry of the log that is not a call. Those of calls are made again from their rows."""

    index = models.BigIntegerField(primary_key=True)
    kind = models.CharField(max_length=16)  # capture.evidence.leaf.Kind
    action_id = models.UUIDField(null=True)  # the call that it is about
    record = models.TextField()
    salt = models.BinaryField(null=True)  # of the session's name in a deletion's record

    class Meta:
        verbose_name_plural = "log entries"
        indexes = [
            Index(fields=["action_id"], name="log_entry_of_call", condition=is_set("action_id")),
            Index(fields=["kind", "index"], name="log_entry_of_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.index}: {self.kind}"
