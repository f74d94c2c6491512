"""The admin's users: one per role, without a password. Who it was stands in the audit log."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Model

from access.actors import Actor
from access.permissions import ADMIN_APPS, may_in_admin
from access.roles import RISING, Role


def user_of(actor: Actor) -> User:
    assert actor.role is not None
    is_admin = actor.role is Role.ADMIN
    facts = {"is_staff": True, "is_superuser": is_admin, "password": "!"}
    user, _ = User.objects.get_or_create(username=actor.role.value, defaults=facts)
    user.first_name = actor.name  # what the admin greets him by; not saved
    return user


class RoleBackend(BaseBackend):
    """What a role may do in the admin. Nobody logs in here."""

    def has_perm(self, user_obj: User | AnonymousUser, perm: str, obj: Model | None = None) -> bool:
        role = _role_of(user_obj)
        return role is not None and may_in_admin(role, perm)

    def has_module_perms(self, user_obj: Any, app_label: str) -> bool:
        role = _role_of(user_obj)
        return role is not None and (app_label not in ADMIN_APPS or role is Role.ADMIN)


def _role_of(user: Any) -> Role | None:
    name = user.get_username()
    return Role(name) if user.is_active and user.is_staff and name in RISING else None
