"""The tables of the read side: the positions of sinks, and the evidence about the log."""

from __future__ import annotations

from django.db import models
from django.db.models import Q, UniqueConstraint, Value

from capture.evidence.anchor_address import MAX_LENGTH as ANCHOR_LENGTH
from capture.evidence.note import MAX_NAME as NAME_OF_LOG

NAME_LENGTH = 64
KEY_LENGTH = NAME_OF_LOG + 64


class SinkCursor(models.Model):
    """The position of a sink in the ledger, and the process that follows for it."""

    name = models.CharField(max_length=NAME_LENGTH, primary_key=True)
    seq = models.BigIntegerField(default=0)  # all calls up to here are taken
    # The process that follows, until `held_until` by the database's clock, which all share.
    holder = models.CharField(max_length=NAME_LENGTH)
    held_until = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name} at {self.seq}"


class LogKey(models.Model):
    """A key of the log. The one that is not retired signs the checkpoints, and no other does."""

    verifier_key = models.CharField(max_length=KEY_LENGTH, unique=True)
    registered_at = models.DateTimeField()
    retired_at = models.DateTimeField(null=True)
    # PEM, where replicas share it by the database; "" if it is in a file.
    private = models.TextField(default="")

    class Meta:
        constraints = [
            UniqueConstraint(Value(1), condition=Q(retired_at=None), name="log_key_in_force_once")
        ]

    def __str__(self) -> str:
        return self.verifier_key


class Checkpoint(models.Model):
    """What the log was when it had this size, signed."""

    size = models.BigIntegerField(primary_key=True)
    root = models.CharField(max_length=44)  # Base64, as in the note
    at = models.DateTimeField()
    note = models.TextField()  # with the cosignatures that came later
    timestamps = models.JSONField(default=dict)  # RFC 3161: the response in Base64, by anchor

    def __str__(self) -> str:
        return f"checkpoint of {self.size}"


class Anchor(models.Model):
    """How far a place outside the database holds the log, and how the last attempts ended."""

    name = models.CharField(max_length=ANCHOR_LENGTH, primary_key=True)  # as it was spelled
    size = models.BigIntegerField(default=0)  # it holds a checkpoint of that size
    last_success_at = models.DateTimeField(null=True)
    last_failure_at = models.DateTimeField(null=True)
    failure = models.TextField(default="")  # the reason of the last one
    is_failing = models.BooleanField(default=False)

    def __str__(self) -> str:
        return self.name


class WitnessedLog(models.Model):
    """The latest checkpoint of another log that we cosigned as its witness."""

    origin = models.CharField(max_length=NAME_OF_LOG, primary_key=True)
    size = models.BigIntegerField(default=0)
    root = models.CharField(max_length=44)
    note = models.TextField()
    at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.origin} at {self.size}"


class WitnessRefusal(models.Model):
    """A checkpoint that its log had signed and that does not extend what we saw before: it shows
    that the log was rewritten."""

    log = models.ForeignKey(WitnessedLog, models.CASCADE, related_name="refusals")
    at = models.DateTimeField()
    size = models.BigIntegerField()
    root = models.CharField(max_length=44)
    seen_size = models.BigIntegerField()  # of the checkpoint that it should extend
    seen_root = models.CharField(max_length=44)
    reason = models.CharField(max_length=200)
    submission = models.TextField()

    class Meta:
        constraints = [
            UniqueConstraint(fields=["log", "size", "root"], name="witness_refusal_once")
        ]

    def __str__(self) -> str:
        return f"{self.log_id} at {self.size}: {self.reason}"


class Verification(models.Model):
    """A verification of the whole log: what it found, or how far it is."""

    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    n_findings = models.BigIntegerField(default=0)
    state = models.JSONField()  # reports.verification.walk.Walk

    class Meta:
        indexes = [models.Index(fields=["-finished_at"], name="verification_newest_first")]

    def __str__(self) -> str:
        return f"verification of {self.started_at}: {self.n_findings} findings"
