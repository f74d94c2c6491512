"""The URLs that AgentLedger serves itself. `owned_paths` decides which requests get here."""

from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView

# They register what the admin shows.
import access.admin  # noqa: F401 (imported for its effect)
import capture.admin  # noqa: F401 (imported for its effect)
import reports.admin  # noqa: F401 (imported for its effect)

urlpatterns = [
    path("", include("reports.urls")),
    path("", include("access.urls")),
    re_path(
        r"^admin$", RedirectView.as_view(pattern_name="admin:index"), name="admin_without_slash"
    ),
    path("admin/", admin.site.urls),
]

handler404 = "reports.api.errors.not_found"
handler500 = "reports.api.errors.server_error"
