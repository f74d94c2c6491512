"""The audit log for programs: who did what to what, the newest first."""

from __future__ import annotations

from datetime import UTC
from typing import Any
from urllib.parse import urlencode

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from agentledger_site.access.models import AuditEntry
from agentledger_site.access.rules import KEY_PARAMETER

# The query parameters that choose entries, and what each means to the database.
FILTERS = {
    "actor": "actor",
    "address": "address",
    "action": "action",
    "object": "object",
    "since": "at__gte",
    "until": "at__lt",
}
OTHERS = ("limit", "cursor", "format", KEY_PARAMETER)
MAX_LIMIT = 1000


class AuditEntrySerializer(serializers.ModelSerializer[AuditEntry]):
    class Meta:
        model = AuditEntry
        fields = (
            *("id", "at", "actor", "address", "action", "object", "details"),
            *("previous_hash", "hash"),
        )


class Asked(serializers.Serializer[Any]):
    """What a GET may say."""

    actor = serializers.CharField(required=False)
    address = serializers.CharField(required=False)
    action = serializers.CharField(required=False)
    object = serializers.CharField(required=False)
    since = serializers.DateTimeField(required=False, default_timezone=UTC)
    until = serializers.DateTimeField(required=False, default_timezone=UTC)
    limit = serializers.IntegerField(default=100, min_value=1, max_value=MAX_LIMIT)
    cursor = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)


@extend_schema(parameters=[Asked], responses=AuditEntrySerializer(many=True))
@api_view(["GET", "HEAD"])
def audit(request: Request) -> Response:
    """Entries of one `actor`, `address`, `action` or `object`, `since` and `until` a time (ISO
    8601); at most `limit` (100, up to 1000) of them. `Link` says where the next ones are."""
    unknown = sorted(set(request.query_params) - {*FILTERS, *OTHERS})
    if unknown:
        known = ", ".join((*FILTERS, *OTHERS))
        raise ValidationError(
            {name: [f"no parameter of this; there are {known}"] for name in unknown}
        )
    asked = Asked(data=request.query_params)
    asked.is_valid(raise_exception=True)
    facts = asked.validated_data
    found = AuditEntry.objects.filter(
        **{lookup: facts[name] for name, lookup in FILTERS.items() if name in facts}
    )
    if "cursor" in facts:
        found = found.filter(id__lt=facts["cursor"])
    page = list(found.order_by("-id")[: facts["limit"] + 1])
    response = Response(AuditEntrySerializer(page[: facts["limit"]], many=True).data)
    if len(page) > facts["limit"]:
        response["Link"] = f'<{_next(request, page[-2].id)}>; rel="next"'
    return response


def _next(request: Request, cursor: int) -> str:
    kept = {k: v for k, v in request.query_params.items() if k not in ("cursor", KEY_PARAMETER)}
    url = request.build_absolute_uri(request.path)
    return f"{url}?{urlencode({**kept, 'cursor': cursor})}"
