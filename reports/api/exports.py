"""GET /export/{session_id}: a session as a document, or its calls as JSON Lines."""

from __future__ import annotations

from django.http import HttpResponseBase
from django.utils.timezone import now
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.renderers import BrowsableAPIRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from capture.models import Session
from reports.api.analytics import FormatNegotiation
from reports.api.renderers import LedgerJSONRenderer
from reports.api.streaming import stream
from reports.api.viewsets import LedgerViewSet
from reports.chunks import in_chunks
from reports.export.files import content_disposition
from reports.export.formats import FORMATS
from reports.export.session import find_export
from reports.output.call_json import session_json
from reports.queries.parameters import NumberParameter, Parameters


class LinesRenderer(LedgerJSONRenderer):
    """Stands for a format in negotiation alone: exports are streams, and errors are JSON."""

    format = "jsonl"
    media_type = "application/x-ndjson"


EXPORT_RENDERERS = [LinesRenderer]


class ExportParameters(Parameters):
    checkpoint = NumberParameter(
        lowest=1,
        highest=2**63 - 1,
        help_text="the size of the checkpoint to use; default: the newest, or a new one",
    )


class ExportViewSet(LedgerViewSet[Session]):
    """Returns a session with all its calls, to be kept and verified elsewhere. `format` is `json`,
    or `jsonl` for the calls alone, one on each line."""

    queryset = Session.objects.not_deleted()
    filterset_classes = {"retrieve": ExportParameters}
    renderer_classes = [LedgerJSONRenderer, BrowsableAPIRenderer, *EXPORT_RENDERERS]
    content_negotiation_class = FormatNegotiation

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def retrieve(self, request: Request, session_id: str) -> HttpResponseBase:
        """Returns the session as a file. In a browser, returns what it contains, and links."""
        export = find_export(session_id)
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
        return stream(request, chunks, made.content_type, headers)

    def handle_exception(self, exc: Exception) -> Response:
        """Makes errors JSON, whatever file was asked for."""
        if isinstance(getattr(self.request, "accepted_renderer", None), tuple(EXPORT_RENDERERS)):
            self.request.accepted_renderer = LedgerJSONRenderer()
            self.request.accepted_media_type = LedgerJSONRenderer.media_type
        return super().handle_exception(exc)
