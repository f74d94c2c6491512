"""GET /api/analytics: figures over time as JSON, and their series as CSV."""

from __future__ import annotations

from collections.abc import Iterable

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer, BrowsableAPIRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from capture.ledger.rollup_sums import hour_start
from capture.models import Call
from reports.api.renderers import LedgerJSONRenderer
from reports.api.serializers import AnalyticsSerializer
from reports.api.viewsets import LedgerViewSet
from reports.output.csv_table import CSVRenderer, Table
from reports.queries.analytics import (
    COLUMNS,
    AnalyticsParameters,
    AnalyticsQuery,
    analytics_query,
    analytics_series,
    analytics_totals,
)
from reports.queries.rollups import Summary


class FormatNegotiation(DefaultContentNegotiation):
    """Refuses an unknown `format` as it refuses other values, with the accepted ones."""

    def filter_renderers(
        self, renderers: Iterable[BaseRenderer], format: str
    ) -> list[BaseRenderer]:
        try:
            return super().filter_renderers(renderers, format)
        except Http404:
            accepted = ", ".join(str(renderer.format) for renderer in renderers)
            raise ValidationError({"format": [f"one of {accepted}"]}) from None


class AnalyticsViewSet(LedgerViewSet[Call]):
    """Returns figures over time, per `interval` (`hour` or `day`), from `since` to `until` (widened
    to whole hours). `by` (`model`, `provider`, `agent`, `user`, `app` or `environment`) groups them
    into the `limit` (10) most expensive values and one group of all others. The filters are
    `model_id`, `provider`, `agent_name`, `app_id` and `environment`, or `user_id` alone.
    `format=csv` returns the series as a table."""

    list_name = "analytics"
    queryset = Call.objects.none()
    serializer_class = AnalyticsSerializer
    filterset_classes = {"list": AnalyticsParameters}
    renderer_classes = [LedgerJSONRenderer, BrowsableAPIRenderer, CSVRenderer]
    content_negotiation_class = FormatNegotiation

    @extend_schema(responses=AnalyticsSerializer)
    def list(self, request: Request) -> Response:
        query = analytics_query(self.parameters)
        found = query.run()
        if request.accepted_renderer.format == "csv":
            return _csv_response(query, found)
        series = [*analytics_series(found, query.column)]
        return Response({**analytics_totals(query, found), "series": series})


def _csv_response(query: AnalyticsQuery, found: Summary) -> Response:
    begin, end = hour_start(query.period.begin), hour_start(query.period.end)
    name = f"analytics-{begin:%Y%m%dT%H}-{end:%Y%m%dT%H}.csv"
    names = () if query.column is None else (query.column, "is_other")
    table = Table(("start", *names, *COLUMNS), analytics_series(found, query.column))
    return Response(table, headers={"content-disposition": f'attachment; filename="{name}"'})
