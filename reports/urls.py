"""The URLs of the read side: the API by its router, pages by their views."""

from __future__ import annotations

from django.urls import include, path

from reports import session_addresses  # noqa: F401 (imported for its converter)
from reports.api import exports, root, schema, witness
from reports.api.analytics import AnalyticsViewSet
from reports.api.audit import AuditViewSet
from reports.api.calls import CallViewSet
from reports.api.checkpoints import CheckpointViewSet, LogKeyViewSet
from reports.api.export import session_report
from reports.api.export.period import PeriodViewSet
from reports.api.limits import LimitsViewSet
from reports.api.renderers import TextRenderer
from reports.api.router import LedgerRouter
from reports.api.search import SearchViewSet
from reports.api.sessions import SessionViewSet
from reports.api.stops import StopViewSet
from reports.dashboard import (
    analytics,
    call,
    calls,
    evidence,
    flow,
    search,
    session,
    sessions,
    trace,
)

router = LedgerRouter()
router.register("sessions", SessionViewSet, "sessions")
router.register("calls", CallViewSet, "calls")
router.register("search", SearchViewSet, "search")
router.register("analytics", AnalyticsViewSet, "analytics")
router.register("limits", LimitsViewSet, "limits")
router.register("stops", StopViewSet, "stops")
router.register("audit", AuditViewSet, "audit")
router.register("checkpoints", CheckpointViewSet, "checkpoints")

urlpatterns = [
    path("", root.index, name="index"),
    path("health", root.health, name="health"),
    path("readyz", root.readyz, name="readyz"),
    path("api/schema", schema.schema, name="schema"),
    path("api/schema/view", schema.view, name="schema_view"),
    path(
        "api/checkpoints/latest",
        CheckpointViewSet.as_view({"get": "latest"}, renderer_classes=[TextRenderer]),
        name="latest_checkpoint",
    ),
    path("api/log/key", LogKeyViewSet.as_view({"get": "retrieve"}), name="log_key"),
    path("api/", include(router.urls)),
    path("session/<session:session_id>", CallViewSet.as_view({"get": "list"}), name="session"),
    path("explain/<path:action_id>", CallViewSet.as_view({"get": "retrieve"}), name="explain"),
    path("export/period", PeriodViewSet.as_view({"get": "list"}), name="export_period"),
    path("export/<session:session_id>/report", session_report.report_page, name="session_report"),
    path(
        "export/<session:session_id>/report.pdf",
        session_report.report_file,
        name="session_report_pdf",
    ),
    path(
        "export/<session:session_id>",
        exports.ExportViewSet.as_view({"get": "retrieve"}),
        name="export",
    ),
    path("api/export", exports.ManyViewSet.as_view({"get": "list"}), name="export_many"),
    path("api/verify.py", exports.verifier_program, name="verifier"),
    path("dashboard/calls.json", calls.calls_json, name="dashboard_calls_json"),
    path("dashboard/calls.csv", calls.calls_csv, name="dashboard_calls_csv"),
    path("dashboard/calls/facets", calls.calls_facets, name="dashboard_calls_facets"),
    path("dashboard/calls/<uuid:action_id>/peek", calls.call_peek, name="dashboard_call_peek"),
    path("dashboard/search/", search.search, name="dashboard_search"),
    path("dashboard/search/count", search.search_count, name="dashboard_search_count"),
    path("dashboard/search.json", search.search_json, name="dashboard_search_json"),
    path("dashboard/search.csv", search.search_csv, name="dashboard_search_csv"),
    path("dashboard/evidence/", evidence.evidence, name="dashboard_evidence"),
    path("dashboard/analytics/", analytics.analytics, name="dashboard_analytics"),
    path("dashboard/sessions/", sessions.sessions, name="dashboard_sessions"),
    path("dashboard/sessions/<session:session_id>/", session.session, name="dashboard_session"),
    path("dashboard/calls/<uuid:action_id>/", call.call, name="dashboard_call"),
    path(
        "dashboard/calls/<uuid:action_id>/thumbnails/<slug:digest>",
        call.thumbnail,
        name="dashboard_thumbnail",
    ),
    path("dashboard/flow/", flow.flow, name="dashboard_flow"),
    path("dashboard/flow/calls/", flow.node_calls, name="dashboard_flow_calls"),
    path("dashboard/flow.json", flow.flow_json, name="dashboard_flow_json"),
    path("dashboard/trace/", trace.trace, name="dashboard_trace"),
    path("dashboard/trace.json", trace.trace_json, name="dashboard_trace_json"),
    path("witness/add-checkpoint", witness.add_checkpoint, name="add_checkpoint"),
    path("witness/<slug:origin>/checkpoint", witness.checkpoint, name="witnessed_checkpoint"),
]
