"""What the read side keeps beside the ledger: all of it can be made again from the ledger."""

from __future__ import annotations

from django.db import models

NAME_LENGTH = 64


class SinkCursor(models.Model):
    """How far a sink has followed the ledger, and which process follows for it."""

    name = models.CharField(max_length=NAME_LENGTH, primary_key=True)
    seq = models.BigIntegerField(default=0)  # all calls up to here are taken
    # The process at work, until then: by the database's clock, which all processes share.
    holder = models.CharField(max_length=NAME_LENGTH)
    held_until = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name} at {self.seq}"
