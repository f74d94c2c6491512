"""Orders of operators to refuse calls."""

from __future__ import annotations

from django.db import models
from django.db.models import CheckConstraint, Q, UniqueConstraint

from capture.models.fields import FIELD_LENGTH, NAME_LENGTH


class StopQuerySet(models.QuerySet["Stop"]):
    def in_force(self) -> StopQuerySet:
        return self.filter(lifted_at=None)


class Stop(models.Model):
    """An order of operators to refuse calls: all, or those of one session, agent or user."""

    EVERYTHING = "everything"
    SCOPES = (EVERYTHING, "session", "agent", "user")

    scope = models.CharField(max_length=16)
    value = models.CharField(max_length=FIELD_LENGTH)  # the session, agent or user; "" for all
    reason = models.TextField()
    who = models.CharField(max_length=NAME_LENGTH, null=True)
    created_at = models.DateTimeField()
    lifted_at = models.DateTimeField(null=True)  # null: in force

    objects = StopQuerySet.as_manager()

    class Meta:
        constraints = [
            CheckConstraint(
                condition=Q(scope="everything", value="") | (~Q(scope="everything") & ~Q(value="")),
                name="stop_says_whose_calls",
            ),
            UniqueConstraint(
                fields=["scope", "value"], condition=Q(lifted_at=None), name="stop_in_force_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.scope} {self.value}".strip()
