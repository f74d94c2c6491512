"""The admin's site: those whom access lets in are in; there is no log-in of its own."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, URLResolver, reverse

from access.views import sign_out

# Of users who have none.
PASSWORD_PAGES = ("password_change", "password_change_done")


class LedgerAdminSite(AdminSite):
    site_header = "AgentLedger"
    site_title = "AgentLedger"
    index_title = "The ledger"

    def get_urls(self) -> list[URLPattern | URLResolver]:
        return [url for url in super().get_urls() if getattr(url, "name", "") not in PASSWORD_PAGES]

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if self.has_permission(request):
            return HttpResponseRedirect(reverse("admin:index"))
        return HttpResponseRedirect(f"{reverse('sign_in')}?next={reverse('admin:index')}")

    def logout(  # type: ignore[override]  # the stubs know of no redirect
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return sign_out(request)
