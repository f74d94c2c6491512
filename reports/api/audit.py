"""The audit log for programs: who did what to what, the newest first."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from access.models import AuditEntry
from reports.queries.cursors import link
from reports.queries.parameters import Number, Parameters, Text, Time

# The query parameters that choose entries, and what each means to the database.
FILTERS = {
    "actor": "actor",
    "address": "address",
    "action": "action",
    "object": "object",
    "since": "at__gte",
    "until": "at__lt",
}
DEFAULT_LIMIT, MAX_LIMIT = 100, 1000


class AuditEntrySerializer(serializers.ModelSerializer[AuditEntry]):
    class Meta:
        model = AuditEntry
        fields = (
            *("id", "at", "actor", "address", "action", "object", "details"),
            *("previous_hash", "hash"),
        )


class AuditParameters(Parameters):
    actor = Text(help_text="entries of this actor")
    address = Text(help_text="entries of who asked from this address")
    action = Text(help_text="entries of this action")
    object = Text(help_text="entries of what was done to this")
    since = Time(help_text="entries of this time or later")
    until = Time(help_text="entries before this time")
    limit = Number(lowest=1, highest=MAX_LIMIT, default=DEFAULT_LIMIT, help_text="entries at most")
    cursor = Number(
        lowest=1,
        highest=2**63 - 1,
        help_text="where to go on: from the Link header of the page before",
    )


@extend_schema(parameters=[AuditParameters], responses=AuditEntrySerializer(many=True))
@api_view(["GET", "HEAD"])
def audit(request: Request) -> Response:
    """Entries of one `actor`, `address`, `action` or `object`, `since` and `until` a time (ISO
    8601); at most `limit` (100, up to 1000) of them. `Link` says where the next ones are."""
    asked = AuditParameters.of(request)
    found = AuditEntry.objects.filter(
        **{lookup: asked[name] for name, lookup in FILTERS.items() if name in asked}
    )
    if "cursor" in asked:
        found = found.filter(id__lt=asked["cursor"])
    limit = asked["limit"]
    page = list(found.order_by("-id")[: limit + 1])
    response = Response(AuditEntrySerializer(page[:limit], many=True).data)
    if len(page) > limit:
        response["Link"] = link(request, "next", cursor=page[limit - 1].id)
    return response
