"""Which role may do what: by route, the role for reading and the one for changing something.

A route that is not here is closed to everyone.
"""

from __future__ import annotations

from dataclasses import dataclass

from access.roles import Role


@dataclass(frozen=True, slots=True)
class Rule:
    read: Role
    write: Role | None = None  # None: nothing can be changed there


# They answer everyone. What `readyz` tells depends on who asks.
OPEN = frozenset(("health", "readyz", "sign_in"))

READ = Rule(Role.VIEWER)
EDIT = Rule(Role.VIEWER, Role.EDITOR)
ADMINISTER = Rule(Role.ADMIN, Role.ADMIN)

ROUTES = {
    "index": READ,
    "sign_out": Rule(Role.VIEWER, Role.VIEWER),
    "live": READ,  # the WebSocket /ws
    "sessions": READ,
    "session": READ,
    "explain": READ,
    "search": READ,
    "analytics": READ,
    "limits": READ,
    "schema": READ,
    "schema_view": READ,
    "dashboard_calls_json": READ,
    "dashboard_calls_csv": READ,
    "dashboard_calls_facets": READ,
    "dashboard_search": READ,
    "dashboard_search_count": READ,
    "dashboard_search_json": READ,
    "dashboard_search_csv": READ,
    "dashboard_analytics": READ,
    "dashboard_sessions": READ,
    "dashboard_session": READ,
    "dashboard_call": READ,
    "dashboard_call_peek": READ,
    "dashboard_thumbnail": READ,
    "one_session": EDIT,
    "one_call": EDIT,
    "stops": EDIT,
    "one_stop": EDIT,
    "audit": Rule(Role.ADMIN),
    "admin_without_slash": READ,
    "dashboard_flow": READ,
    "dashboard_flow_json": READ,
    "dashboard_flow_calls": READ,
    "dashboard_trace": READ,
    "dashboard_trace_json": READ,
}

# The admin's, by how their names begin: the longest counts. Beyond these its own permissions hold,
# which are made of the same roles (`may_in_admin`).
ADMIN_ROUTES = {
    "admin:": EDIT,
    "admin:logout": Rule(Role.VIEWER, Role.VIEWER),
    "admin:access_": ADMINISTER,
}
# Redirects to a page's current address, and what is not there.
UNNAMED = READ

# In the admin, where a permission is `app.action_model`.
READ_ACTIONS = ("view",)
ADMIN_APPS = ("access", "auth", "admin", "contenttypes", "sessions")


def rule_of(route: str | None) -> Rule | None:
    """`route` as `ResolverMatch.view_name` tells it, None for a path at which there is nothing;
    None: closed."""
    if route is None:
        return UNNAMED
    begins = [prefix for prefix in ADMIN_ROUTES if route.startswith(prefix)]
    return ADMIN_ROUTES[max(begins, key=len)] if begins else ROUTES.get(route)


def may_in_admin(role: Role, permission: str) -> bool:
    app, _, action = permission.partition(".")
    if app in ADMIN_APPS:
        return role.includes(Role.ADMIN)
    reads = action.partition("_")[0] in READ_ACTIONS
    return role.includes(Role.VIEWER if reads else Role.EDITOR)
