"""Pages for requests that cannot be served."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from django_htmx.middleware import HtmxDetails
from rest_framework.exceptions import ValidationError

View = Callable[..., HttpResponse]


class HtmxRequest(HttpRequest):
    """A request as django-htmx's middleware passes it on."""

    htmx: HtmxDetails


def page(view: View) -> View:
    """Decorates the view of a page.

    Only GET and HEAD are allowed; invalid parameters get a page that lists what is accepted.
    """

    @require_safe
    @wraps(view)
    def respond(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except ValidationError as error:
            return render(request, "dashboard/refused.html", {"errors": error.detail}, status=400)

    return respond


def not_found(request: HttpRequest, what: str) -> HttpResponse:
    return render(request, "dashboard/not_found.html", {"what": what}, status=404)
