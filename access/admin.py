"""Tokens and the audit log in the admin, for the role admin only."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.timezone import now

from access import tokens
from access.actors import actor_of
from access.admin_lists import LongList
from access.models import AuditEntry, Token
from access.roles import Role


class NewToken(forms.ModelForm[Token]):
    class Meta:
        model = Token
        fields = ("name", "role", "expires_at", "daily_budget_usd")
        help_texts = {
            "name": tokens.NAME_ACCEPTED,
            "role": "viewer reads; editor also labels, stops and deletes; admin also manages"
            " tokens; ingest only sends calls",
            "expires_at": "in UTC; leave empty for a token that does not expire",
            "daily_budget_usd": "in USD, for ingest tokens only; leave empty for no budget",
        }

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if not tokens.NAME.fullmatch(name):
            raise ValidationError(f"a token's name is {tokens.NAME_ACCEPTED}")
        if Token.objects.filter(name=name, revoked_at=None).exists():
            raise ValidationError("a token with this name exists: revoke it first")
        return name

    def clean_expires_at(self) -> Any:
        expires_at = self.cleaned_data["expires_at"]
        if expires_at is not None and expires_at <= now():
            raise ValidationError("the expiry must be in the future")
        return expires_at


@admin.register(Token)
class TokenAdmin(LongList):
    form = NewToken
    list_display = (
        *("name", "role", "secret_prefix", "state", "created_at", "created_by", "last_used_at"),
        *("expires_at", "daily_budget_usd"),
    )
    list_filter = ("role", ("revoked_at", admin.EmptyFieldListFilter))
    search_fields = ("name", "prefix", "created_by")
    ordering = ("-id",)
    actions = ("revoke",)
    readonly_fields = ("secret_prefix", "state", "created_at", "created_by", "last_used_at")

    @admin.display(description="secret")
    def secret_prefix(self, token: Token) -> str:
        return f"{token.prefix}…"

    @admin.display
    def state(self, token: Token) -> str:
        return token.state(now())

    def get_fields(self, request: HttpRequest, obj: Token | None = None) -> Any:
        return NewToken.Meta.fields if obj is None else super().get_fields(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Token | None = None) -> bool:
        return False  # a token's role and limits are fixed: create another

    def has_delete_permission(self, request: HttpRequest, obj: Token | None = None) -> bool:
        return False  # the audit log refers to it: it is revoked instead

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return self.has_add_permission(request)

    def save_model(self, request: HttpRequest, obj: Token, form: Any, change: bool) -> None:
        created, secret = tokens.create(
            actor_of(request),
            obj.name,
            Role(obj.role),
            expires_at=obj.expires_at,
            daily_budget_usd=obj.daily_budget_usd,
        )
        obj.__dict__.update(created.__dict__)
        obj.secret = secret  # type: ignore[attr-defined]  # only for the response to this request

    def response_add(
        self, request: HttpRequest, obj: Token, post_url_continue: str | None = None
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": f"Token {obj.name}",
            "token": obj,
            "opts": self.opts,
        }
        response = TemplateResponse(request, "access/token_made.html", context)
        response["Cache-Control"] = "no-store"
        return response

    @admin.action(description="Revoke the selected tokens", permissions=["revoke"])
    def revoke(self, request: HttpRequest, selected: QuerySet[Token]) -> None:
        n_revoked = sum(tokens.revoke(actor_of(request), token) for token in selected)
        self.message_user(request, f"Revoked {n_revoked} tokens", messages.SUCCESS)


@admin.register(AuditEntry)
class AuditEntryAdmin(LongList):
    list_display = ("id", "at", "actor", "address", "action", "object")
    list_filter = ("action",)
    date_hierarchy = "at"
    search_fields = ("actor", "object", "address")
    ordering = ("-id",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: AuditEntry | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: AuditEntry | None = None) -> bool:
        return False
