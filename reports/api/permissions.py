"""The API's permission class, which applies the table of routes and roles."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from access.actors import actor_of


class RolePermission(BasePermission):
    """Allows what the actor's role may do at a route. Requests are refused by access before they
    reach a view; this hides what a role may not do from the browsable pages too."""

    def has_permission(self, request: Request, view: Any) -> bool:
        match = request.resolver_match
        if match is None:  # called without a URL: by a benchmark, or to describe the API
            return True
        rule = settings.ROUTE_RULES.find(match.view_name)
        if rule is None:
            return False
        needed = rule.read if request.method in SAFE_METHODS else rule.write
        return needed is None or actor_of(request).may(needed)
