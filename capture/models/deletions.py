"""What is left of deleted calls and sessions."""

from __future__ import annotations

from django.db import models
from django.db.models import Index


class Tombstone(models.Model):
    """The trace of a deleted call: proof that there was one and, with a copy at hand, which one it
    was. A call that has a tombstone is never recorded again."""

    action_id = models.UUIDField(primary_key=True, editable=False)
    seq = models.BigIntegerField(null=True)  # null: it was deleted before it was recorded
    digest = models.CharField(max_length=64)  # capture.ledger.tombstones.call_digest
    deleted_at = models.DateTimeField(db_index=True)
    # The call's place in the log, and that of the entry on its deletion.
    log_index = models.BigIntegerField(null=True)
    deletion_index = models.BigIntegerField(null=True)

    class Meta:
        indexes = [
            Index(fields=["log_index"], name="tombstone_in_the_log"),
            Index(fields=["deletion_index", "log_index"], name="tombstone_of_a_deletion"),
        ]

    def __str__(self) -> str:
        return str(self.action_id)


class TakenOver(models.Model):
    """A call that took over messages of a deleted one, until the search index has them with it."""

    call_seq = models.BigIntegerField()

    class Meta:
        verbose_name_plural = "taken over"

    def __str__(self) -> str:
        return f"messages of a deleted call, by call {self.call_seq}"


class DeletedSession(models.Model):
    """A session that was deleted. Its calls that began before that are not recorded: they were
    running, or waited in the spool."""

    digest = models.CharField(max_length=64, primary_key=True)  # SHA-256 of its session id
    number = models.BigIntegerField(default=1)  # of deletions, this one included
    deleted_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.digest} at {self.deleted_at}"
