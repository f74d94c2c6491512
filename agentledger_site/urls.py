"""All paths that are ours; `routes` says which these are."""

from django.urls import path

from reports import limits, stops, views
from reports.analytics import Analytics

urlpatterns = [
    path("", views.index, name="index"),
    path("health", views.health, name="health"),
    path("readyz", views.readyz, name="readyz"),
    path("api/sessions", views.sessions, name="sessions"),
    path("api/analytics", Analytics.as_view(), name="analytics"),
    path("api/limits", limits.limits, name="limits"),
    path("api/stops", stops.stops, name="stops"),
    path("api/stops/<int:stop_id>", stops.one_stop, name="one_stop"),
    path("session/<path:session_id>", views.session, name="session"),
    path("explain/<path:action_id>", views.explain, name="explain"),
]

handler404 = "reports.errors.not_found"
handler500 = "reports.errors.server_error"
