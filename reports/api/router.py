"""The API's router: its paths have no trailing slash, and `/api/` itself lists the resources."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.routers import APIRootView, DefaultRouter, Route
from rest_framework.schemas import DefaultSchema

from reports.queries.parameters import NoParameters

# Links of the root beside those to the router's own lists: name and URL name.
OTHER_LINKS = {"schema": "schema", "schema/view": "schema_view"}


class ApiRoot(APIRootView):
    """The resources of the ledger. `schema/view` describes them and lets you try requests."""

    name = "API"
    schema = DefaultSchema()  # the framework's root is in no schema

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Returns the URLs of the ledger's resources, by name."""
        NoParameters.parse(request.query_params)
        names = {**(self.api_root_dict or {}), **OTHER_LINKS}
        return Response({key: reverse(name, request=request) for key, name in names.items()})


class LedgerRouter(DefaultRouter):
    """Names URLs as their viewsets say: the permissions of roles are given by these names."""

    APIRootView = ApiRoot
    root_view_name = "api_root"
    include_format_suffixes = False
    routes = [
        Route("{prefix}", {"get": "list", "post": "create"}, "list_name", False, {}),
        Route(
            "{prefix}/{lookup}",
            {"get": "retrieve", "patch": "partial_update", "delete": "destroy"},
            "detail_name",
            True,
            {},
        ),
    ]

    def __init__(self) -> None:
        super().__init__(trailing_slash=False, use_regex_path=False)

    def get_routes(self, viewset: Any) -> list[Route]:
        routes = super().get_routes(viewset)
        return [route._replace(name=getattr(viewset, route.name)) for route in routes]

    def get_method_map(self, viewset: Any, method_map: Mapping[str, str]) -> dict[str, str]:
        actions = super().get_method_map(viewset, method_map)
        return {m: action for m, action in actions.items() if action in viewset.routed_actions}

    def get_api_root_view(self, api_urls: Any = None) -> Callable[..., Any]:
        lists = {prefix: getattr(viewset, "list_name", "") for prefix, viewset, _ in self.registry}
        names = {prefix: name for prefix, name in lists.items() if name}
        return self.APIRootView.as_view(api_root_dict=names)
