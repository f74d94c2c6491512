"""The paths that AgentLedger serves itself. Every other path is the provider's,
with any method."""

from __future__ import annotations

from capture.wire.paths import cached_by_path, readings

# Exact paths. `/api/…` is listed one by one: an Ollama client's `/api/chat` is the provider's.
OWNED_PATHS = frozenset(
    "/ /ws /health /readyz /metrics /mcp /admin /favicon.ico"
    " /api /api/sessions /api/search /api/analytics /api/limits /api/stops /api/audit /api/export"
    " /api/checkpoints /api/checkpoints/latest /api/log/key"
    " /api/schema /api/schema/view /api/verify.py".split()
)
# Prefixes: these paths, and all below them.
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
    "/witness/",
)
# Those that are served at the agents' port where pages have a port of their own.
PROBES = frozenset(("/health", "/readyz"))


@cached_by_path
def is_owned(path: str) -> bool:
    """Returns whether a path is ours in any reading: as it came, or as it would be if it were
    written without escapes, double slashes, dot segments and capitals. What is ours in one reading
    alone is not found by our views, and no upstream sees it."""
    return any(_is_ours(reading.lower()) for reading in readings(path))


def _is_ours(path: str) -> bool:
    path = path.rstrip("/")
    return (path or "/") in OWNED_PATHS or f"{path}/".startswith(OWNED_PREFIXES)
