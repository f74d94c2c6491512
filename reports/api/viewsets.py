"""The base of the API's viewsets: strict parameters for each action, and their filter backend."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from django.template.loader import render_to_string
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.viewsets import GenericViewSet

from reports.queries.parameters import NoParameters, Parameters

M = TypeVar("M", bound=Model)

# A browser's form leaves these out: links lead to the other pages.
NOT_IN_FORM = {"limit", "offset", "cursor"}


class ParametersBackend(DjangoFilterBackend):  # type: ignore[misc]  # django-filter has no types
    """Filters a view's queryset by the parameters that the view has read."""

    def get_filterset_class(self, view: Any, queryset: Any = None) -> type[Parameters]:
        filterset_class: type[Parameters] = view.get_filterset_class()
        return filterset_class

    def get_filterset(self, request: Request, queryset: QuerySet[Any], view: Any) -> Parameters:
        filterset: Parameters = view.filterset
        filterset.queryset = queryset
        return filterset

    def filter_queryset(
        self, request: Request, queryset: QuerySet[Any], view: Any
    ) -> QuerySet[Any]:
        filtered: QuerySet[Any] = self.get_filterset(request, queryset, view).qs
        return filtered

    def to_html(self, request: Request, queryset: QuerySet[Any], view: Any) -> str:
        fields = [
            {
                "name": name,
                "help": parameter.extra["help_text"],
                "choices": parameter.choices,
                "value": request.query_params.get(name, ""),
            }
            for name, parameter in view.filterset.filters.items()
            if name not in NOT_IN_FORM
        ]
        return render_to_string("api/_filter_form.html", {"fields": fields}) if fields else ""


class LedgerViewSet(GenericViewSet[M]):
    """A viewset whose actions take the parameters of `filterset_classes` and refuse all others."""

    # The names of its URLs in the router.
    list_name = ""
    detail_name = ""
    # The actions that have a URL in the router.
    routed_actions: Collection[str] = ("list", "create", "retrieve", "partial_update", "destroy")
    filterset_classes: Mapping[str, type[Parameters]] = {}  # by action
    filter_backends = [ParametersBackend]
    pagination_class: type[BasePagination] | None = None
    filterset: Parameters
    parameters: dict[str, Any]  # the values that are given, by name

    def get_filterset_class(self) -> type[Parameters]:
        return self.filterset_classes.get(self.action or "", NoParameters)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self.filterset = self.get_filterset_class()(request.query_params)
        # The action is None where the method is about to be refused.
        is_action = self.action not in (None, "metadata")
        self.parameters = self.filterset.values if is_action else {}
