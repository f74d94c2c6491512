"""Signing in and out, and the page for who may not read."""

from __future__ import annotations

from urllib.parse import unquote

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from access import audit, cookie
from access.actors import Actor, actor_of
from access.authentication import with_secret
from access.request_checks import KEY_PARAMETER, Denied
from access.roles import Role

MAY_ONLY_SEND = Denied(403, "this token may only send calls")
DATABASE_AWAY = Denied(503, "the database does not answer; try again in a moment")


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    """Takes the key or a token, and goes on to the page that was asked for."""
    if request.method != "POST":
        return _page(request, 200, "", _next(request.GET.get("next", "")), may_sign_in=True)
    target = _next(request.POST.get("next", ""))
    address = actor_of(request).address
    try:
        known = with_secret(request.POST.get(KEY_PARAMETER, ""), "form", address)
        if isinstance(known, Actor) and not known.may(Role.VIEWER):
            known = MAY_ONLY_SEND
        if isinstance(known, Actor):
            audit.record(known, "sign_in", target, shown_as="form")
            return with_cookie(request, known, target)
    except DatabaseError:
        known = DATABASE_AWAY
    reason = "This key is not accepted." if known.status == 401 else known.reason
    response = _page(request, known.status, reason, target, may_sign_in=True)
    if known.retry_after_s is not None:
        response["Retry-After"] = str(known.retry_after_s)
    return response


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """Ends the cookie of this browser; changing the key or revoking the token ends all."""
    actor = actor_of(request)
    if actor.known_by == "cookie":
        audit.record(actor, "sign_out", "")
    response = HttpResponseRedirect(reverse("sign_in"))
    response.status_code = 303
    cookie.take_back(response)
    return response


def with_cookie(request: HttpRequest, actor: Actor, target: str) -> HttpResponse:
    response = HttpResponseRedirect(target)
    response.status_code = 303
    cookie.give(request, response, actor)
    return response


def refused(request: HttpRequest, refusal: Denied, *, may_sign_in: bool) -> HttpResponse:
    """For a browser: with a field for the key where one would help."""
    parameters = request.GET.copy()
    parameters.pop(KEY_PARAMETER, None)
    query = f"?{parameters.urlencode()}" if parameters else ""
    reason = "" if refusal.status == 401 and KEY_PARAMETER not in request.GET else refusal.reason
    return _page(request, refusal.status, reason, request.path + query, may_sign_in=may_sign_in)


def csrf_failed(request: HttpRequest, reason: str = "") -> JsonResponse:
    hint = "send the cookie csrftoken as the header X-CSRFToken, or the key in a header"
    return JsonResponse({"detail": f"this needs the token of a page of ours: {hint}"}, status=403)


def _page(
    request: HttpRequest, status: int, reason: str, target: str, *, may_sign_in: bool
) -> HttpResponse:
    context = {"reason": reason, "next": target, "may_sign_in": may_sign_in}
    response = render(request, "access/sign_in.html", context, status=status)
    response["Cache-Control"] = "no-store"
    return response


def _next(target: str) -> str:
    """A path of ours; anything else is the first page."""
    is_ours = url_has_allowed_host_and_scheme(target, allowed_hosts=None)
    return target if is_ours and target.startswith("/") and "\\" not in unquote(target) else "/"
