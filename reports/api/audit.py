"""GET /api/audit: the audit log, newest first."""

from __future__ import annotations

from rest_framework.mixins import ListModelMixin

from access.models import AuditEntry
from reports.api.pagination import IdPagination
from reports.api.serializers import AuditEntrySerializer
from reports.api.viewsets import LedgerViewSet
from reports.queries.parameters import NumberParameter, Parameters, TextParameter, TimeParameter

DEFAULT_LIMIT, MAX_LIMIT = 100, 1000


class AuditParameters(Parameters):
    actor = TextParameter(lookup="actor", help_text="entries by this actor")
    address = TextParameter(lookup="address", help_text="entries of requests from this address")
    action = TextParameter(lookup="action", help_text="entries with this action")
    object = TextParameter(lookup="object", help_text="entries about this object")
    since = TimeParameter(lookup="at__gte", help_text="entries at this time or later")
    until = TimeParameter(lookup="at__lt", help_text="entries before this time")
    limit = NumberParameter(
        lowest=1, highest=MAX_LIMIT, default=DEFAULT_LIMIT, help_text="maximum number of entries"
    )
    cursor = NumberParameter(
        lowest=1,
        highest=2**63 - 1,
        lookup="id__lt",
        help_text="start of the page, taken from the previous page's Link header",
    )


class AuditViewSet(ListModelMixin, LedgerViewSet[AuditEntry]):
    """Returns the entries of the audit log, newest first, optionally of one `actor`, `address`,
    `action` or `object`, and between the times `since` and `until` (ISO 8601); at most `limit` of
    them (100 by default, up to 1000). `Link` has the next page."""

    list_name = "audit"
    queryset = AuditEntry.objects.all()
    serializer_class = AuditEntrySerializer
    pagination_class = IdPagination
    filterset_classes = {"list": AuditParameters}
