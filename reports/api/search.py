"""GET /api/search: calls that contain words."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from capture.models import Call
from reports.api.serializers import HitSerializer
from reports.api.viewsets import LedgerViewSet
from reports.queries.cursors import link
from reports.search.hit_json import hit_json
from reports.search.parameters import SearchParameters, run_search


class SearchViewSet(LedgerViewSet[Call]):
    """Returns the calls that contain all words of `q`, newest first. `Link` has the next page;
    `X-Complete: false` means that the search stopped after a second, before older calls."""

    list_name = "search"
    queryset = Call.objects.none()
    serializer_class = HitSerializer
    filterset_classes = {"list": SearchParameters}

    @extend_schema(responses=HitSerializer(many=True))
    def list(self, request: Request) -> Response:
        page = run_search(self.parameters)
        response = Response([hit_json(hit, self.parameters["q"]) for hit in page.hits])
        response["X-Complete"] = "true" if page.complete else "false"
        if page.next is not None:
            response["Link"] = link(request, "next", cursor=page.next)
        return response
