"""All paths that are ours; `routes` says which these are."""

from django.contrib import admin
from django.urls import path, re_path
from django.views.generic import RedirectView

import agentledger_site.access.admin  # noqa: F401 (registers what the admin shows)
import capture.admin  # noqa: F401
from agentledger_site.access import pages
from reports import audit, limits, stops, views

urlpatterns = [
    path("", views.index, name="index"),
    path("health", views.health, name="health"),
    path("readyz", views.readyz, name="readyz"),
    path("api/sessions", views.sessions, name="sessions"),
    path("api/limits", limits.limits, name="limits"),
    path("api/stops", stops.stops, name="stops"),
    path("api/stops/<int:stop_id>", stops.one_stop, name="one_stop"),
    path("api/audit", audit.audit, name="audit"),
    path("session/<path:session_id>", views.session, name="session"),
    path("explain/<path:action_id>", views.explain, name="explain"),
    path("dashboard/sign-in", pages.sign_in, name="sign_in"),
    path("dashboard/sign-out", pages.sign_out, name="sign_out"),
    re_path(r"^admin$", RedirectView.as_view(url="/admin/"), name="admin_without_slash"),
    path("admin/", admin.site.urls),
]

handler404 = "reports.errors.not_found"
handler500 = "reports.errors.server_error"
