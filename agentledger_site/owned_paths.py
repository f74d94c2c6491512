"""The paths that AgentLedger serves itself. Every other path is the provider's,
with any method."""

from __future__ import annotations

# Exact paths. `/api/…` is listed one by one: an Ollama client's `/api/chat` is the provider's.
OWNED_PATHS = frozenset(
    "/ /ws /health /readyz /metrics /mcp /admin"
    " /api/ /api/sessions /api/search /api/analytics /api/limits /api/stops /api/audit"
    " /api/schema /api/schema/view".split()
)
# Prefixes: all paths below these.
OWNED_PREFIXES = (
    "/api/sessions/",
    "/api/calls/",
    "/api/stops/",
    "/session/",
    "/explain/",
    "/export/",
    "/dashboard/",
    "/admin/",
    "/static/",
)


def is_owned(path: str) -> bool:
    return path in OWNED_PATHS or path.startswith(OWNED_PREFIXES)
