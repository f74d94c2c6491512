"""Sums over calls: what budgets were spent, and rollups."""

from __future__ import annotations

from datetime import date

from django.db import models
from django.db.models import UniqueConstraint

from capture.models.fields import FIELD_LENGTH, NAME_LENGTH


class SpendQuerySet(models.QuerySet["Spend"]):
    def of_account(self, budget: str, key: str | None, day: date | None) -> SpendQuerySet:
        """Returns one row or none. `key` is None for all calls, `day` for all days."""
        return self.filter(budget=budget, key=key or "", day=day or Spend.ALL_DAYS)


class Spend(models.Model):
    """The amount that was spent of a budget: capture.ledger.spend."""

    ALL_DAYS = date.min

    budget = models.CharField(max_length=16)  # session | agent | user | token | daily
    key = models.CharField(max_length=FIELD_LENGTH)  # session, agent, user or token; "" for daily
    day = models.DateField()  # UTC; ALL_DAYS for a session
    usd = models.DecimalField(max_digits=20, decimal_places=10)

    objects = SpendQuerySet.as_manager()

    class Meta:
        constraints = [
            UniqueConstraint(fields=["budget", "key", "day"], name="spend_once_of_a_budget")
        ]

    def __str__(self) -> str:
        return f"{self.budget} {self.key}".strip()


class RollupKey(models.Model):
    """The names that the calls of a rollup share, or their user. Keys never change, but for an
    erasure of the user's name."""

    id = models.BigIntegerField(primary_key=True)  # assigned by the recorder, ascending
    digest = models.BinaryField(unique=True)  # of all other fields
    # The key of all calls beyond the names that an hour or a day distinguishes. It has no names.
    is_other = models.BooleanField(default=False)
    model_id = models.CharField(max_length=NAME_LENGTH, null=True)
    provider = models.CharField(max_length=64, null=True)
    agent_name = models.CharField(max_length=FIELD_LENGTH, null=True)
    app_id = models.CharField(max_length=FIELD_LENGTH, null=True)
    environment = models.CharField(max_length=FIELD_LENGTH, null=True)
    user_id = models.CharField(max_length=FIELD_LENGTH, null=True)

    def __str__(self) -> str:
        return f"rollup key {self.pk}"


class Rollup(models.Model):
    """Sums over the calls of one hour or one day, UTC; null if no call has a known value."""

    id = models.BigIntegerField(primary_key=True)  # capture.ledger.rollup_sums.row_id
    hour = models.IntegerField()  # since 1970; for a day, its first hour
    # Keys are never deleted, and checking each would cost PostgreSQL more than writing the row.
    key = models.ForeignKey(
        RollupKey, models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )
    call_count = models.BigIntegerField()
    error_count = models.BigIntegerField()
    refused_count = models.BigIntegerField()
    tokens_in = models.BigIntegerField(null=True)
    tokens_out = models.BigIntegerField(null=True)
    tokens_cache_read = models.BigIntegerField(null=True)
    tokens_cache_write = models.BigIntegerField(null=True)
    tokens_reasoning = models.BigIntegerField(null=True)
    # In units of 1e-10 USD: SQLite adds only integers exactly.
    cost = models.BigIntegerField(null=True)
    cost_unknown_calls = models.BigIntegerField()
    cache_savings = models.BigIntegerField(null=True)
    # Histograms of the calls that were not refused: capture.ledger.histogram.
    latency = models.BinaryField()
    ttft = models.BinaryField()

    def __str__(self) -> str:
        return f"{self.call_count} calls from hour {self.hour} on"
