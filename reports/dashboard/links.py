"""Queries of pages' URLs; a parameter has the same name on every page."""

from __future__ import annotations

from django.http import HttpRequest, QueryDict

from access.request_checks import KEY_PARAMETER

# The parameters that the API names differently.
_API_NAMES = {
    "session": "session_id",
    "agent": "agent_name",
    "user": "user_id",
    "app": "app_id",
    "model": "model_id",
    "sort": "order",
}


def to_api_query(query: QueryDict) -> QueryDict:
    """Returns a page's parameters under the names that the API has for them."""
    renamed = QueryDict(mutable=True)
    for name, values in query.lists():
        renamed.setlist(_API_NAMES.get(name, name), values)
    return renamed


def change_query(request: HttpRequest, **changes: str | None) -> str:
    """Returns the page's current query with `changes`; None removes a parameter."""
    return build_query(request.GET, **changes)


def build_query(base: QueryDict, **changes: str | None) -> str:
    """Returns `?…`: the parameters of `base` with `changes`, and without the access key."""
    query = base.copy()
    for name, value in {KEY_PARAMETER: None, **changes}.items():
        query.pop(name, None)
        if value is not None:
            query[name] = value
    return f"?{query.urlencode()}"
