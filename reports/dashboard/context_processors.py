"""What every page knows: who looks, what he may do, and how he likes it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from access.actors import actor_of
from access.roles import Role
from agentledger_site.conf import VERSION
from reports.dashboard.preferences import preferences_of
from reports.dashboard.tabs import tabs


def page(request: HttpRequest) -> dict[str, Any]:
    """A context processor."""
    actor = actor_of(request)
    return {
        "preferences": preferences_of(request),
        "actor": actor,
        "may_edit": actor.may(Role.EDITOR),
        "may_administer": actor.may(Role.ADMIN),
        "tabs": tabs(request),
        "version": VERSION,
    }
