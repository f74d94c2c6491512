"""GET /export/period: the report on a period as a page, a PDF or a table."""

from __future__ import annotations

from django.http import HttpResponseBase
from django.shortcuts import render
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from access.actors import actor_of
from access.middleware import wants_page
from access.roles import Role
from capture.models import Call
from reports.api.analytics import FormatNegotiation
from reports.api.renderers import LedgerJSONRenderer
from reports.api.streaming import stream
from reports.api.viewsets import LedgerViewSet
from reports.export.pdf import PdfUnavailable
from reports.export.period import read_report
from reports.export.period_formats import FORMATS, file_name
from reports.queries.period import PeriodParameters, reported_period


class PageFormat(LedgerJSONRenderer):
    """Stands for a format in negotiation alone: an error is JSON, or a page for a browser."""

    format, media_type = "html", "text/html"


class PdfFormat(PageFormat):
    format, media_type = "pdf", "application/pdf"


class TableFormat(PageFormat):
    format, media_type = "csv", "text/csv"


RENDERERS = [PageFormat, PdfFormat, TableFormat]


class NotMade(APIException):
    status_code = 503
    wait = 10  # seconds, for Retry-After


class PeriodViewSet(LedgerViewSet[Call]):
    """Returns a report on the calls of a period: costs by day, application, user, agent and model,
    errors and refusals, deletions and, for the role admin, changes of policy. `format` is `html`,
    `pdf` or `csv`."""

    queryset = Call.objects.none()
    filterset_classes = {"list": PeriodParameters}
    renderer_classes = RENDERERS
    content_negotiation_class = FormatNegotiation

    @extend_schema(
        responses={
            (200, "text/html"): OpenApiTypes.STR,
            (200, "application/pdf"): OpenApiTypes.BINARY,
            (200, "text/csv"): OpenApiTypes.STR,
        }
    )
    def list(self, request: Request) -> HttpResponseBase:
        period = reported_period(self.parameters)
        name = request.accepted_renderer.format
        made = FORMATS[name]
        report = read_report(period, made.most_groups, with_audit=actor_of(request).may(Role.ADMIN))
        headers = {}
        if made.is_download:
            headers["content-disposition"] = f'attachment; filename="{file_name(period, name)}"'
        try:
            return stream(request, made.write(report, request), made.content_type, headers)
        except PdfUnavailable as error:
            raise NotMade(str(error)) from None

    # The framework's type is narrower than what it returns: any response.
    def handle_exception(self, exc: Exception) -> HttpResponseBase:  # type: ignore[override]
        request = self.request
        request.accepted_renderer = LedgerJSONRenderer()
        request.accepted_media_type = LedgerJSONRenderer.media_type
        response = super().handle_exception(exc)
        if response.status_code == 400 and wants_page(request._request):
            context = {"errors": response.data}
            return render(request._request, "dashboard/refused.html", context, status=400)
        return response
