"""The tables of the read side, all of which can be rebuilt from the ledger."""

from __future__ import annotations

from django.db import models

NAME_LENGTH = 64


class SinkCursor(models.Model):
    """The position of a sink in the ledger, and the process that follows for it."""

    name = models.CharField(max_length=NAME_LENGTH, primary_key=True)
    seq = models.BigIntegerField(default=0)  # all calls up to here are taken
    # The process that follows, until `held_until` by the database's clock, which all share.
    holder = models.CharField(max_length=NAME_LENGTH)
    held_until = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name} at {self.seq}"
