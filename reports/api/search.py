"""GET /api/search: calls by what was said in them."""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from reports.queries.cursors import link
from reports.search.hit_json import hit_json
from reports.search.parameters import SearchParameters, run_search


@extend_schema(parameters=[SearchParameters], responses=OpenApiTypes.OBJECT)
@api_view(["GET", "HEAD"])
def search(request: Request) -> Response:
    """Calls in which all words of `q` occur, newest first. `Link` says where the search goes on;
    `X-Complete: false` that it stopped after a second, and what is older was not looked at."""
    asked = SearchParameters.of(request)
    page = run_search(asked)
    response = Response([hit_json(hit, asked["q"]) for hit in page.hits])
    response["X-Complete"] = "true" if page.complete else "false"
    if page.next is not None:
        response["Link"] = link(request, "next", cursor=page.next)
    return response
