"""The fields of the API's JSON, for input and for the schema."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from access.models import AuditEntry
from capture.models import FIELD_LENGTH, NAME_LENGTH, Call, Session, Stop
from reports.output.call_json import CALL_FIELDS, FIELDS, SESSION_FIELDS, session_json
from reports.queries.analytics import BY, INTERVALS
from reports.queries.parameters import refuse_unknown
from reports.search.find import SHORT_FORM

MAX_LABELS = 50
MAX_LABEL = 100
MAX_NOTE = 10_000

OBJECT = {"type": ["object", "null"], "additionalProperties": True}
OBJECTS = {"type": "array", "items": {"type": "object", "additionalProperties": True}}
PAIRS = {
    "type": ["array", "null"],
    "items": {"type": "array", "items": {"type": ["string", "null"]}},
}


@extend_schema_field(OBJECT)
class Object(serializers.JSONField):
    pass


@extend_schema_field(OBJECTS)
class Objects(serializers.JSONField):
    pass


@extend_schema_field({**OBJECTS, "type": ["array", "null"]})
class ObjectsOrNull(serializers.JSONField):
    pass


@extend_schema_field(PAIRS)
class Headers(serializers.JSONField):
    pass


@extend_schema_field({})
class Anything(serializers.JSONField):
    pass


class SessionSerializer(serializers.ModelSerializer[Session]):
    class Meta:
        model = Session
        fields = SESSION_FIELDS

    def to_representation(self, instance: Session) -> dict[str, Any]:
        return session_json(instance)


class SessionChangesSerializer(serializers.Serializer[Any]):
    """The body of a PATCH: fields that it leaves out stay as they are."""

    labels = serializers.ListField(
        child=serializers.CharField(max_length=MAX_LABEL), max_length=MAX_LABELS, required=False
    )
    note = serializers.CharField(
        max_length=MAX_NOTE, allow_null=True, allow_blank=True, required=False
    )
    pinned = serializers.BooleanField(required=False)

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            refuse_unknown(data, self.fields)
        return super().to_internal_value(data)

    def validate_labels(self, labels: list[str]) -> list[str]:
        return list(dict.fromkeys(labels))

    def validate_note(self, note: str | None) -> str | None:
        return note or None


class LinksSerializer(serializers.Serializer[Any]):
    session = serializers.CharField(allow_null=True)
    # Serializers have an attribute of this name until their metaclass takes the fields away.
    parent = serializers.CharField(allow_null=True)  # type: ignore[assignment]
    previous = serializers.CharField(allow_null=True)
    next = serializers.CharField(allow_null=True)
    children = serializers.ListField(child=serializers.CharField())


class CallSerializer(serializers.ModelSerializer[Call]):
    session_id = serializers.CharField(allow_null=True)
    content = serializers.CharField(allow_null=True)
    reasoning = serializers.CharField(allow_null=True)
    choices = ObjectsOrNull()
    temperature = serializers.FloatField(allow_null=True)
    max_tokens = serializers.IntegerField(allow_null=True)
    request_params = Object()
    usage = Object()
    units = Object()
    cost_parts = Object()
    notes = serializers.ListField(child=serializers.CharField(), allow_null=True)
    refusal = Object()
    cost_usd = serializers.FloatField(allow_null=True)
    cache_savings_usd = serializers.FloatField(allow_null=True)
    budget_warning = ObjectsOrNull()
    messages = Anything()
    system_prompt = serializers.CharField(allow_null=True)
    tools = Anything()
    tool_calls = Objects()
    tool_results = Objects()
    price_corrections = Objects()
    binaries = Objects()
    upstream = serializers.CharField(allow_null=True)
    upstream_name = serializers.CharField(allow_null=True)
    target = serializers.CharField(allow_null=True)
    usage_injected = serializers.BooleanField(allow_null=True)
    headers_ms = serializers.FloatField(allow_null=True)
    first_byte_ms = serializers.FloatField(allow_null=True)
    tokens_per_second = serializers.FloatField(allow_null=True)
    request_headers = Headers()
    response_headers = Headers()
    raw_request = serializers.CharField(allow_null=True)
    raw_response = serializers.CharField(allow_null=True)

    class Meta:
        model = Call
        fields = FIELDS
        read_only_fields = CALL_FIELDS


class ExplainedCallSerializer(CallSerializer):
    links = LinksSerializer()
    new_messages_from = serializers.IntegerField(allow_null=True)

    class Meta(CallSerializer.Meta):
        fields = [*FIELDS, "links", "new_messages_from"]


class HitSerializer(serializers.ModelSerializer[Call]):
    session_id = serializers.CharField(allow_null=True)
    cost_usd = serializers.FloatField(allow_null=True)
    field = serializers.CharField(help_text="the call's field that matched")
    snippet = serializers.CharField(help_text="HTML: escaped text, with words in <mark>")

    class Meta:
        model = Call
        fields = (*SHORT_FORM, "session_id", "field", "snippet")


@extend_schema_serializer(many=False)
class AnalyticsSerializer(serializers.Serializer[Any]):
    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    interval = serializers.ChoiceField(INTERVALS)
    by = serializers.ChoiceField(tuple(BY), allow_null=True)
    total = Object()
    groups = Objects(required=False, help_text="only with `by`")
    series = Objects()


class StandingSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(help_text="the variable's name in lower case")
    key = serializers.CharField(
        allow_null=True, help_text="the session, agent, user or token; null: all calls"
    )
    # In USD of a budget, in calls of a limit.
    limit = serializers.FloatField()
    used = serializers.FloatField()
    reserved = serializers.FloatField()
    left = serializers.FloatField()
    resets_at = serializers.DateTimeField(allow_null=True)


class StopSerializer(serializers.ModelSerializer[Stop]):
    class Meta:
        model = Stop
        fields = ("id", "scope", "value", "reason", "who", "created_at", "lifted_at")

    def to_representation(self, instance: Stop) -> dict[str, Any]:
        return {**super().to_representation(instance), "value": instance.value or None}


class NewStopSerializer(serializers.Serializer[Any]):
    """The body of a POST; `value` is the session, agent or user."""

    scope = serializers.ChoiceField(Stop.SCOPES)
    value = serializers.CharField(max_length=FIELD_LENGTH, allow_null=True, required=False)
    reason = serializers.CharField(max_length=2000)
    who = serializers.CharField(max_length=NAME_LENGTH, allow_null=True, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs["value"] = attrs.get("value") or ""
        if (attrs["scope"] == Stop.EVERYTHING) == bool(attrs["value"]):
            accepted = "none for everything, else the session, agent or user to stop"
            raise serializers.ValidationError({"value": [accepted]})
        return attrs


class AuditEntrySerializer(serializers.ModelSerializer[AuditEntry]):
    class Meta:
        model = AuditEntry
        fields = (
            *("id", "at", "actor", "address", "action", "object", "details"),
            *("previous_hash", "hash"),
        )
