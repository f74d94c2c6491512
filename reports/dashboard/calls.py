"""Calls: all of them, the newest first."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from capture.models import Call

AT_ONCE = 50


def calls(request: HttpRequest) -> HttpResponse:
    newest = Call.objects.not_deleted().select_related("session").order_by("-timestamp")
    base_url = request.build_absolute_uri("/")
    return render(
        request,
        "dashboard/calls.html",
        {"calls": newest[:AT_ONCE], "base_url": base_url.rstrip("/")},
    )
