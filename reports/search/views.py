"""GET /api/search: calls by what was said in them."""

from __future__ import annotations

from typing import Any

from django.db.models import Q
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import api_view
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import CharField

from reports.call_list import STATUS
from reports.cursors import link
from reports.parameters import Choice, Number, Parameters, Text, Time, Usd
from reports.search.find import SHORT_FORM, Hit, Page, find
from reports.search.query import Query
from reports.search.snippets import field_and_snippet

DEFAULT_LIMIT = 20
MAX_LIMIT = 200

FILTERS = {
    "agent_name": "agent_name",
    "user_id": "user_id",
    "app_id": "app_id",
    "environment": "environment",
    "model_id": "model_id",
    "session_id": "session__session_id",
    "since": "timestamp__gte",
    "until": "timestamp__lt",
    "min_cost": "cost_usd__gte",
}
# Those that the ledger has an index for.
NARROW = frozenset(("session_id", "since"))
# Those that sessions are found by.
OF_SESSIONS = ("user_id", "agent_name", "app_id", "environment", "model_id")


class QueryField(CharField):
    """Text of a Query."""

    def run_validation(self, data: Any = None) -> Any:
        try:
            return Query.parse(data if isinstance(data, str) else "")
        except ValueError as refused:
            raise ValidationError([str(refused)]) from None


class SearchParameters(Parameters):
    q = QueryField(help_text='words that must all occur in a call; "in quotes" a phrase')
    agent_name = Text(help_text="calls of this agent")
    user_id = Text(help_text="calls for this user")
    app_id = Text(help_text="calls of this application")
    environment = Text(help_text="calls of this environment")
    model_id = Text(help_text="calls of this model")
    session_id = Text(help_text="calls of this session")
    status = Choice(tuple(STATUS), help_text="completed; with an error; refused")
    since = Time(help_text="calls made at this time or later")
    until = Time(help_text="calls made before this time")
    min_cost = Usd(help_text="calls that cost at least so many USD")
    limit = Number(lowest=1, highest=MAX_LIMIT, default=DEFAULT_LIMIT, help_text="hits at most")
    cursor = Number(
        lowest=1, highest=2**53, help_text="where to go on: from the Link header of the page before"
    )


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
    where = STATUS[asked["status"]] if "status" in asked else Q()
    for name, column in FILTERS.items():
        if name in asked:
            where &= Q(**{column: asked[name]})
    return find(
        asked["q"],
        where,
        narrow=not NARROW.isdisjoint(asked),
        names={name: asked[name] for name in OF_SESSIONS if name in asked},
        limit=asked["limit"],
        before=asked.get("cursor"),
    )


def shape(hit: Hit, query: Query) -> dict[str, Any]:
    field, snippet = field_and_snippet(hit.document, query)
    call = hit.call
    return {
        **{name: getattr(call, name) for name in SHORT_FORM},
        "session_id": call.session.session_id if call.session else None,
        "field": field,
        "snippet": snippet,
    }
