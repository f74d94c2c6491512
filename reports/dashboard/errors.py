"""Pages for questions that cannot be answered."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from rest_framework.exceptions import ValidationError

View = Callable[..., HttpResponse]


def page(view: View) -> View:
    """A page is only read. Parameters that cannot be read are a page that says what is accepted."""

    @require_safe
    @wraps(view)
    def answered(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except ValidationError as error:
            return render(request, "dashboard/refused.html", {"wrong": error.detail}, status=400)

    return answered


def not_found(request: HttpRequest, what: str) -> HttpResponse:
    return render(request, "dashboard/not_found.html", {"what": what}, status=404)
