"""GET /api/search: calls by what was said in them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from reports.queries.cursors import link
from reports.search.find import SHORT_FORM, Hit, Page, find
from reports.search.parameters import SearchParameters, wanted
from reports.search.query import Query
from reports.search.snippets import field_and_snippet


@extend_schema(parameters=[SearchParameters], responses=OpenApiTypes.OBJECT)
@api_view(["GET", "HEAD"])
def search(request: Request) -> Response:
    """Calls in which all words of `q` occur, newest first. `Link` says where the search goes on;
    `X-Complete: false` that it stopped after a second, and what is older was not looked at."""
    asked = SearchParameters.of(request)
    page = found(asked)
    response = Response([shape(hit, asked["q"]) for hit in page.hits])
    response["X-Complete"] = "true" if page.complete else "false"
    if page.next is not None:
        response["Link"] = link(request, "next", cursor=page.next)
    return response


def found(asked: dict[str, Any]) -> Page:
    """`asked` is as of SearchParameters."""
    return find(wanted(asked), limit=asked["limit"], before=asked.get("cursor"))


def shape(hit: Hit, query: Query) -> dict[str, Any]:
    field, snippet = field_and_snippet(hit.document, query)
    call = hit.call
    return {
        **{name: getattr(call, name) for name in SHORT_FORM},
        "session_id": call.session.session_id if call.session else None,
        "field": field,
        "snippet": snippet,
    }
