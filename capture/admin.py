"""Stops in the admin. Stops on record are never edited, only lifted."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from access.actors import actor_of
from access.admin_lists import LongList
from capture.models import Stop
from capture.operations.stops import lift, stop


class NewStop(forms.ModelForm[Stop]):
    scope = forms.ChoiceField(choices=[(scope, scope) for scope in Stop.SCOPES])
    value = forms.CharField(
        required=False,
        max_length=Stop._meta.get_field("value").max_length,
        help_text="the session, agent or user; empty if the scope is everything",
    )

    class Meta:
        model = Stop
        fields = ("scope", "value", "reason")
        help_texts = {"reason": "the agents receive it"}

    def clean(self) -> dict[str, Any] | None:
        facts = super().clean() or self.cleaned_data
        scope, value = facts.get("scope"), facts.get("value", "")
        if scope and (scope == Stop.EVERYTHING) == bool(value):
            self.add_error("value", "empty for everything, else the session, agent or user to stop")
        elif Stop.objects.in_force().filter(scope=scope, value=value).exists():
            self.add_error(None, "these calls are already stopped")
        return facts


@admin.register(Stop)
class StopAdmin(LongList):
    form = NewStop
    list_display = ("scope", "value", "reason", "who", "created_at", "lifted_at")
    list_filter = ("scope", ("lifted_at", admin.EmptyFieldListFilter))
    search_fields = ("value", "reason", "who")
    date_hierarchy = "created_at"
    ordering = ("-id",)
    actions = ("lift",)

    def has_change_permission(self, request: HttpRequest, obj: Stop | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Stop | None = None) -> bool:
        return False  # it is lifted, and stays on record

    def has_lift_permission(self, request: HttpRequest) -> bool:
        return self.has_add_permission(request)

    def save_model(self, request: HttpRequest, obj: Stop, form: Any, change: bool) -> None:
        made, _ = stop(actor_of(request), obj.scope, obj.value, reason=obj.reason)
        obj.__dict__.update(made.__dict__)

    @admin.action(description="Lift the selected stops", permissions=["lift"])
    def lift(self, request: HttpRequest, found: QuerySet[Stop]) -> None:
        in_force = [stop.pk for stop in found if stop.lifted_at is None]
        for stop_id in in_force:
            lift(actor_of(request), stop_id)
        self.message_user(request, f"Lifted {len(in_force)} stops", messages.SUCCESS)
