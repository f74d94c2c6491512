"""Addresses of pages: their parameters, which have the same names on every page."""

from __future__ import annotations

from django.http import HttpRequest, QueryDict

from access.request_checks import KEY_PARAMETER

# What the API calls otherwise.
_OF_API = {
    "session": "session_id",
    "agent": "agent_name",
    "user": "user_id",
    "app": "app_id",
    "model": "model_id",
    "sort": "order",
}


def as_api(given: QueryDict) -> QueryDict:
    """A page's parameters with the names that the API has for them."""
    named = QueryDict(mutable=True)
    for name, values in given.lists():
        named.setlist(_OF_API.get(name, name), values)
    return named


def with_parameters(request: HttpRequest, **changes: str | None) -> str:
    """`?…`, without the key: what the page has now, but for these; None takes one away."""
    return query_of(request.GET, **changes)


def query_of(given: QueryDict, **changes: str | None) -> str:
    query = given.copy()
    for name, value in {KEY_PARAMETER: None, **changes}.items():
        query.pop(name, None)
        if value is not None:
            query[name] = value
    return f"?{query.urlencode()}"
