"""The address of a page with other parameters than it has now."""

from __future__ import annotations

from django.http import HttpRequest

from agentledger_site.access.rules import KEY_PARAMETER


def with_parameters(request: HttpRequest, **changes: str | None) -> str:
    """`?…`, without the key; None takes a parameter away."""
    query = request.GET.copy()
    for name, value in {KEY_PARAMETER: None, **changes}.items():
        query.pop(name, None)
        if value is not None:
            query[name] = value
    return f"?{query.urlencode()}"
