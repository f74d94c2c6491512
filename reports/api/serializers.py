"""How a call's JSON is described in the schema. `shapes` makes it."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from capture.models import Call
from reports.output.call_json import CALL_FIELDS, FIELDS

OBJECT = {"type": ["object", "null"], "additionalProperties": True}
OBJECTS = {"type": "array", "items": {"type": "object", "additionalProperties": True}}
PAIRS = {
    "type": ["array", "null"],
    "items": {"type": "array", "items": {"type": "string"}},
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


class LinksSerializer(serializers.Serializer[Any]):
    session = serializers.CharField(allow_null=True)
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
