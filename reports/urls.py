"""The paths of the API, the pages and what the pages fetch."""

from typing import Any

from django.urls import path

from reports.api import audit, limits, root, schema, stops
from reports.api.analytics import Analytics
from reports.api.calls import CallViewSet, SessionCallsViewSet
from reports.api.search import search
from reports.api.sessions import SessionViewSet
from reports.dashboard import analytics as analytics_page
from reports.dashboard import call, calls, flow, session, sessions, trace
from reports.dashboard import search as search_page

SESSION: dict[str, Any] = {"get": "retrieve", "patch": "partial_update", "delete": "destroy"}

urlpatterns = [
    path("", root.index, name="index"),
    path("health", root.health, name="health"),
    path("readyz", root.readyz, name="readyz"),
    path("api/sessions", SessionViewSet.as_view({"get": "list"}), name="sessions"),
    path("api/sessions/<path:session_id>", SessionViewSet.as_view(SESSION), name="one_session"),
    path("api/calls/<path:action_id>", CallViewSet.as_view({"delete": "destroy"}), name="one_call"),
    path("api/search", search, name="search"),
    path("api/analytics", Analytics.as_view(), name="analytics"),
    path("api/limits", limits.limits, name="limits"),
    path("api/stops", stops.stops, name="stops"),
    path("api/stops/<int:stop_id>", stops.one_stop, name="one_stop"),
    path("api/schema", schema.schema, name="schema"),
    path("api/schema/view", schema.view, name="schema_view"),
    path("session/<path:session_id>", SessionCallsViewSet.as_view({"get": "list"}), name="session"),
    path("explain/<path:action_id>", CallViewSet.as_view({"get": "retrieve"}), name="explain"),
    path("dashboard/calls.json", calls.calls_json, name="dashboard_calls_json"),
    path("dashboard/calls.csv", calls.calls_csv, name="dashboard_calls_csv"),
    path("dashboard/calls/facets", calls.calls_facets, name="dashboard_calls_facets"),
    path("dashboard/calls/<uuid:action_id>/peek", calls.call_peek, name="dashboard_call_peek"),
    path("dashboard/search/", search_page.search, name="dashboard_search"),
    path("dashboard/search/count", search_page.search_count, name="dashboard_search_count"),
    path("dashboard/search.json", search_page.search_json, name="dashboard_search_json"),
    path("dashboard/search.csv", search_page.search_csv, name="dashboard_search_csv"),
    path("dashboard/analytics/", analytics_page.analytics, name="dashboard_analytics"),
    path("dashboard/sessions/", sessions.sessions, name="dashboard_sessions"),
    path("dashboard/sessions/<path:session_id>/", session.session, name="dashboard_session"),
    path("dashboard/calls/<uuid:action_id>/", call.call, name="dashboard_call"),
    path(
        "dashboard/calls/<uuid:action_id>/thumbnails/<slug:digest>",
        call.thumbnail,
        name="dashboard_thumbnail",
    ),
    path("api/audit", audit.audit, name="audit"),
    path("dashboard/flow/", flow.flow, name="dashboard_flow"),
    path("dashboard/flow/calls/", flow.node_calls, name="dashboard_flow_calls"),
    path("dashboard/flow.json", flow.flow_json, name="dashboard_flow_json"),
    path("dashboard/trace/", trace.trace, name="dashboard_trace"),
    path("dashboard/trace.json", trace.trace_json, name="dashboard_trace_json"),
]
