"""GET /export/{session_id}: a session as a document, or its calls as JSON Lines."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.timezone import now
from django.views.decorators.http import require_safe
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import APIException, NotFound
from rest_framework.renderers import BrowsableAPIRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from capture.models import Call, Session
from reports.api.analytics import FormatNegotiation
from reports.api.renderers import LedgerJSONRenderer
from reports.api.streaming import stream
from reports.api.viewsets import LedgerViewSet
from reports.chunks import in_chunks
from reports.export.bundle import verifier
from reports.export.evidence import CannotExport
from reports.export.files import content_disposition
from reports.export.formats import FORMATS
from reports.export.many import ManyParameters, call_lines, find_calls
from reports.export.session import find_export
from reports.output.call_json import session_json
from reports.queries.parameters import NumberParameter, Parameters


class Conflict(APIException):
    status_code = 409


class LinesRenderer(LedgerJSONRenderer):
    """Stands for a format in negotiation alone: exports are streams, and errors are JSON."""

    format = "jsonl"
    media_type = "application/x-ndjson"


class BundleRenderer(LinesRenderer):
    format = "bundle"
    media_type = "application/zip"


EXPORT_RENDERERS = [LinesRenderer, BundleRenderer]


class ExportParameters(Parameters):
    checkpoint = NumberParameter(
        lowest=1,
        highest=2**63 - 1,
        help_text="the size of the checkpoint to use; default: the newest, or a new one",
    )


class ExportViewSet(LedgerViewSet[Session]):
    """Returns a session with all its calls, to be kept and verified elsewhere. `format` is `json`,
    `jsonl` for the calls alone, one on each line, or `bundle` for a ZIP that verifies itself."""

    queryset = Session.objects.not_deleted()
    filterset_classes = {"retrieve": ExportParameters}
    renderer_classes = [LedgerJSONRenderer, BrowsableAPIRenderer, *EXPORT_RENDERERS]
    content_negotiation_class = FormatNegotiation

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def retrieve(self, request: Request, session_id: str) -> HttpResponseBase:
        """Returns the session as a file. In a browser, returns what it contains, and links."""
        export = find_export(session_id, self.parameters.get("checkpoint"))
        if export is None:
            raise NotFound(f"there is no session {session_id!r}")
        name = request.accepted_renderer.format
        if name not in FORMATS:
            url = request.build_absolute_uri(request.path)
            links = {name: f"{url}?format={name}" for name in FORMATS}
            return Response({"session": session_json(export.session), "formats": links})
        made = FORMATS[name]
        headers = {"content-disposition": content_disposition(export.name, made.suffix)}
        chunks = in_chunks(made.write(export, now(), None))
        try:
            return stream(request, chunks, made.content_type, headers)
        except CannotExport as error:
            raise Conflict(str(error)) from None

    def handle_exception(self, exc: Exception) -> Response:
        """Makes errors JSON, whatever file was asked for."""
        if isinstance(getattr(self.request, "accepted_renderer", None), tuple(EXPORT_RENDERERS)):
            self.request.accepted_renderer = LedgerJSONRenderer()
            self.request.accepted_media_type = LedgerJSONRenderer.media_type
        return super().handle_exception(exc)


@require_safe
def verifier_program(request: HttpRequest) -> HttpResponse:
    """Returns the program that verifies exports, which needs Python alone."""
    headers = {"content-disposition": 'attachment; filename="verify.py"'}
    return HttpResponse(verifier(), content_type="text/x-python", headers=headers)


class ManyViewSet(LedgerViewSet[Call]):
    """Returns calls of all sessions as JSON Lines, in the order of their `seq`. Whoever got some of
    them goes on with the last one's `seq` as `cursor`."""

    queryset = Call.objects.none()
    filterset_classes = {"list": ManyParameters}
    renderer_classes = [LinesRenderer, LedgerJSONRenderer, BrowsableAPIRenderer]
    content_negotiation_class = FormatNegotiation

    @extend_schema(responses={(200, "application/x-ndjson"): OpenApiTypes.STR})
    def list(self, request: Request) -> HttpResponseBase:
        """Returns all calls that match, without those that are recorded meanwhile."""
        calls = find_calls(self.parameters)
        if request.accepted_renderer.format == "api":
            url = request.build_absolute_uri()
            separator = "&" if request.query_params else "?"
            return Response({"calls": calls.count(), "jsonl": f"{url}{separator}format=jsonl"})
        pieces = (piece for line in call_lines(calls) for piece in line.pieces)
        headers = {"content-disposition": 'attachment; filename="calls.jsonl"'}
        return stream(request, in_chunks(pieces), "application/x-ndjson", headers)
