"""The table of routes and roles: each route needs one role for reading, one for changes.

A route that is not in this table is closed to everyone.
"""

from __future__ import annotations

from access.roles import Role
from access.route_rules import RouteRules, Rule

READ = Rule(Role.VIEWER)
EDIT = Rule(Role.VIEWER, Role.EDITOR)
ADMINISTER = Rule(Role.ADMIN, Role.ADMIN)

ROUTE_RULES = RouteRules(
    # What `readyz` shows depends on who asks. Logs show a witness their signature, and no key.
    open=frozenset(("health", "readyz", "sign_in", "add_checkpoint", "witnessed_checkpoint")),
    by_name={
        "index": READ,
        "api_root": READ,
        "sign_out": Rule(Role.VIEWER, Role.VIEWER),
        "live": READ,  # the WebSocket /ws
        "sessions": READ,
        "session": READ,
        "explain": READ,
        "export": READ,
        # What it says of the audit log is for those who may read that.
        "export_period": READ,
        "export_many": READ,
        "verifier": READ,
        "session_report": READ,
        "session_report_pdf": READ,
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
        "dashboard_evidence": READ,
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
        "checkpoints": READ,
        "latest_checkpoint": READ,
        "log_key": READ,
        "admin_without_slash": READ,
        "dashboard_flow": READ,
        "dashboard_flow_json": READ,
        "dashboard_flow_calls": READ,
        "dashboard_trace": READ,
        "dashboard_trace_json": READ,
    },
    # The admin's own permissions apply on top of these; they are made of the same roles.
    by_prefix={
        "admin:": EDIT,
        "admin:logout": Rule(Role.VIEWER, Role.VIEWER),
        "admin:access_": ADMINISTER,
    },
    # Redirects to the current address of a page, and paths at which there is nothing.
    unnamed=READ,
)
