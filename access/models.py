"""Tokens, and the audit log."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import models
from django.db.models import CheckConstraint, Index, Q, UniqueConstraint

from access.roles import Role

MAX_NAME = 100


class TokenQuerySet(models.QuerySet["Token"]):
    def in_force(self, at: datetime) -> TokenQuerySet:
        unexpired = Q(expires_at=None) | Q(expires_at__gt=at)
        return self.filter(unexpired, revoked_at=None)


class Token(models.Model):
    """A named secret with a role. Only its hash is stored. A fast one is enough: 256 random bits
    cannot be guessed, and a slow hash would delay every request."""

    name = models.CharField(max_length=MAX_NAME)
    role = models.CharField(max_length=16, choices=[(role.value, role.value) for role in Role])
    secret_hash = models.CharField(max_length=64, unique=True, editable=False)
    prefix = models.CharField(max_length=16, editable=False)  # shown, to recognise the token by
    created_at = models.DateTimeField(editable=False)
    created_by = models.CharField(max_length=255, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)  # null: it does not expire
    revoked_at = models.DateTimeField(null=True, editable=False)
    last_used_at = models.DateTimeField(null=True, editable=False)  # accurate to a minute
    daily_budget_usd = models.DecimalField(max_digits=20, decimal_places=10, null=True, blank=True)

    objects = TokenQuerySet.as_manager()

    class Meta:
        constraints = [
            CheckConstraint(
                condition=Q(role__in=[role.value for role in Role]), name="token_role_is_known"
            ),
            CheckConstraint(
                condition=Q(daily_budget_usd=None)
                | Q(role=Role.INGEST.value, daily_budget_usd__gte=0),
                name="token_budget_is_of_ingest",
                violation_error_message="only an ingest token has a daily budget, of 0 or more",
            ),
            UniqueConstraint(
                fields=["name"], condition=Q(revoked_at=None), name="token_name_in_force_once"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def state(self, at: datetime) -> str:
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= at else "in force"


class AppendOnly(TypeError):
    """Raised when an audit entry would be changed or deleted."""


class AuditQuerySet(models.QuerySet["AuditEntry"]):
    def update(self, **kwargs: Any) -> int:
        raise AppendOnly

    def delete(self) -> tuple[int, dict[str, int]]:
        raise AppendOnly


class AuditEntry(models.Model):
    """An entry that says who did what to what. Only `audit.record` writes entries: it assigns `id`
    without gaps and chains each entry to the one before. Triggers refuse changes that bypass the
    ORM."""

    id = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField()
    actor = models.CharField(max_length=255)
    address = models.CharField(max_length=64, null=True)  # noqa: DJ001 (null: it came from a command)
    action = models.CharField(max_length=64)
    object = models.TextField()
    details = models.JSONField()
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    objects = AuditQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "audit entries"
        indexes = [
            Index(fields=["at"], name="audit_in_time"),
            Index(fields=["action", "id"], name="audit_of_an_action"),
        ]

    def __str__(self) -> str:
        return f"{self.id}: {self.actor} {self.action} {self.object}".rstrip()

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise AppendOnly
        super().save(*args, **{**kwargs, "force_insert": True})

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise AppendOnly


class AuditChain(models.Model):
    """The one row that holds the end of the chain. Its lock lets processes append one at a time."""

    last_id = models.BigIntegerField(default=0)
    last_hash = models.CharField(max_length=64, default="0" * 64)

    def __str__(self) -> str:
        return f"audit log at {self.last_id}"
