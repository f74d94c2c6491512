"""Calls: all of them, the newest first."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from capture.models import Call
from reports.call_list import short_calls

AT_ONCE = 50


def calls(request: HttpRequest) -> HttpResponse:
    newest = short_calls(Call.objects.not_deleted().order_by("-timestamp")[:AT_ONCE])
    base_url = request.build_absolute_uri("/")
    return render(
        request,
        "dashboard/calls.html",
        {"calls": newest, "base_url": base_url.rstrip("/")},
    )
