"""The form with which a browser filters a list, made of the view's parameters."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.template.loader import render_to_string
from rest_framework.filters import BaseFilterBackend
from rest_framework.request import Request
from rest_framework.views import APIView

# They say where in the list to be, which links say better.
_OF_PAGES = {"limit", "offset", "cursor"}


class ParametersForm(BaseFilterBackend):
    """For views with `parameters`, a subclass of Parameters. It shows them; the view filters."""

    def filter_queryset(
        self, request: Request, queryset: QuerySet[Any], view: APIView
    ) -> QuerySet[Any]:
        return queryset

    def to_html(self, request: Request, queryset: QuerySet[Any], view: APIView) -> str:
        fields = [
            {
                "name": name,
                "help": field.help_text,
                "choices": list(getattr(field, "choices", ())),
                "value": request.query_params.get(name, ""),
            }
            for name, field in view.parameters().fields.items()  # type: ignore[attr-defined]
            if name not in _OF_PAGES
        ]
        return render_to_string("api/_filter_form.html", {"fields": fields})
