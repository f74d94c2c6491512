"""Pages of lists: their bodies are plain lists, and the `Link` header leads to the next page."""

from __future__ import annotations

from typing import Any

from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

from reports.queries.cursors import link
from reports.queries.session_list import SessionPage, session_page

MAX_STOPS = 1000


class LinkPagination(BasePagination):
    """Subclasses read a page and set `links`. The view's parameters have `limit` and a cursor, so
    they are described with its filters."""

    def __init__(self) -> None:
        self.links: list[str] = []

    def get_paginated_response(self, data: Any) -> Response:
        response = Response(data)
        if self.links:
            response["Link"] = ", ".join(self.links)
        return response

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        return schema


class IdPagination(LinkPagination):
    """Pages of rows by descending key. The view's filters apply the cursor, the last key shown."""

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        limit = view.parameters["limit"]
        rows = list(queryset.order_by("-pk")[: limit + 1])
        if len(rows) > limit:
            self.links.append(link(request, "next", cursor=rows[limit - 1].pk))
        return rows[:limit]


class NewestStops(LinkPagination):
    """The first page alone: more stops than these are of no use to anyone."""

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        return list(queryset[:MAX_STOPS])


class SessionPagination(LinkPagination):
    """Pages of sessions, which `X-Total-Count` counts. The next page begins with a cursor, or with
    an `offset` where the request had one."""

    page: SessionPage

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        self.page = session_page(view.filterset)
        next_cursor, parameters = self.page.next, view.parameters
        if "offset" in parameters:
            self._link_offsets(request, parameters["limit"], parameters["offset"])
        elif next_cursor is not None:
            self.links.append(link(request, "next", cursor=next_cursor.text()))
        return list(self.page.sessions)

    def _link_offsets(self, request: Request, limit: int, offset: int) -> None:
        if self.page.next is not None:
            self.links.append(link(request, "next", limit=limit, offset=offset + limit))
        if offset > 0:
            self.links.append(link(request, "prev", limit=limit, offset=max(0, offset - limit)))

    def get_paginated_response(self, data: Any) -> Response:
        response = super().get_paginated_response(data)
        response["X-Total-Count"] = str(self.page.total)
        return response
