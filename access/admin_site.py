"""The admin's site and its users. Access decides who may use it: it has no log-in of its own, and
one user for each role, without a password. The audit log names the actual actor."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, URLResolver, reverse, reverse_lazy

from access.actors import Actor
from access.roles import RISING, Role
from access.views import sign_out

PASSWORD_PAGES = ("password_change", "password_change_done")
# Only the role `admin` sees these apps.
ADMIN_APPS = ("access", "auth", "admin", "contenttypes", "sessions")


class LedgerAdminSite(AdminSite):
    site_header = "AgentLedger"
    site_title = "AgentLedger"
    index_title = "The ledger"
    site_url = reverse_lazy("index")  # type: ignore[assignment]  # a text, once it is read

    def get_urls(self) -> list[URLPattern | URLResolver]:
        return [url for url in super().get_urls() if getattr(url, "name", "") not in PASSWORD_PAGES]

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if self.has_permission(request):
            return HttpResponseRedirect(reverse("admin:index"))
        return HttpResponseRedirect(f"{reverse('sign_in')}?next={reverse('admin:index')}")

    def logout(  # type: ignore[override]  # the stubs expect a page, not a redirect
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return sign_out(request)


class RoleBackend(BaseBackend):
    """Gives the users of the admin the permissions of their role."""

    def has_perm(self, user_obj: User | AnonymousUser, perm: str, obj: Model | None = None) -> bool:
        role = _role(user_obj)
        return role is not None and may_in_admin(role, perm)

    def has_module_perms(self, user_obj: Any, app_label: str) -> bool:
        role = _role(user_obj)
        return role is not None and (app_label not in ADMIN_APPS or role is Role.ADMIN)


def may_in_admin(role: Role, permission: str) -> bool:
    """`permission` is one of Django's: `app.action_model`."""
    app, _, action = permission.partition(".")
    if app in ADMIN_APPS:
        return role.includes(Role.ADMIN)
    is_read = action.partition("_")[0] == "view"
    return role.includes(Role.VIEWER if is_read else Role.EDITOR)


def get_or_create_user(actor: Actor) -> User:
    """Returns the admin's user for an actor that has a role."""
    assert actor.role is not None
    is_admin = actor.role is Role.ADMIN
    facts = {"is_staff": True, "is_superuser": is_admin, "password": "!"}
    user, _ = User.objects.get_or_create(username=actor.role.value, defaults=facts)
    user.first_name = actor.name  # shown in the admin's header; not saved
    return user


def _role(user: Any) -> Role | None:
    name = user.get_username()
    return Role(name) if user.is_active and user.is_staff and name in RISING else None
