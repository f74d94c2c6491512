"""Signing in and out, and the page for those who may not read."""

from __future__ import annotations

from urllib.parse import unquote

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import get_script_prefix, reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from access import audit, cookie
from access.actors import Actor, actor_of
from access.authentication import authenticate_secret
from access.browsers import device_cookie
from access.local import made_key
from access.request_checks import DATABASE_UNAVAILABLE, KEY_PARAMETER, Denial
from access.roles import Role

INGEST_TOKEN = Denial(403, "this token may only send calls")


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    """Takes the key or a token, and redirects to the page that was requested before."""
    if request.method != "POST":
        return _page(request, 200, "", _safe_path(request.GET.get("next", "")), may_sign_in=True)
    target = _safe_path(request.POST.get("next", ""))
    address, device = actor_of(request).address, request.COOKIES.get(device_cookie.NAME)
    try:
        found = authenticate_secret(request.POST.get(KEY_PARAMETER, ""), "form", address, device)
        if isinstance(found, Actor) and not found.may(Role.VIEWER):
            found = INGEST_TOKEN
        if isinstance(found, Actor):
            audit.record(found, "sign_in", target, shown_as="form")
            return redirect_with_cookie(request, found, target)
    except DatabaseError:
        found = DATABASE_UNAVAILABLE
    reason = "This key is not accepted." if found.status == 401 else found.reason
    response = _page(request, found.status, reason, target, may_sign_in=True)
    if found.retry_after_s is not None:
        response["Retry-After"] = str(found.retry_after_s)
    return response


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """Deletes this browser's cookie. Changing the key or revoking the token ends all cookies."""
    actor = actor_of(request)
    if actor.known_by == "cookie":
        audit.record(actor, "sign_out", "")
    response = HttpResponseRedirect(reverse("sign_in"))
    response.status_code = 303
    cookie.delete_cookie(response)
    return response


def redirect_with_cookie(request: HttpRequest, actor: Actor, target: str) -> HttpResponse:
    response = HttpResponseRedirect(target)
    response.status_code = 303
    cookie.set_cookie(request, response, actor)
    device_cookie.set_cookie(request, response, actor)
    return response


def denial_page(request: HttpRequest, denial: Denial, *, may_sign_in: bool) -> HttpResponse:
    """Returns the page that says why, with a field for the key where one would help."""
    parameters = request.GET.copy()
    parameters.pop(KEY_PARAMETER, None)
    query = f"?{parameters.urlencode()}" if parameters else ""
    reason = "" if denial.status == 401 and KEY_PARAMETER not in request.GET else denial.reason
    return _page(request, denial.status, reason, request.path + query, may_sign_in=may_sign_in)


def csrf_failure(request: HttpRequest, reason: str = "") -> JsonResponse:
    hint = "send the cookie csrftoken as the header X-CSRFToken, or the key in a header"
    return JsonResponse({"detail": f"the CSRF token is missing or wrong: {hint}"}, status=403)


def _page(
    request: HttpRequest, status: int, reason: str, target: str, *, may_sign_in: bool
) -> HttpResponse:
    has_link = may_sign_in and made_key.is_in_use()
    context = {"reason": reason, "next": target, "may_sign_in": may_sign_in, "has_link": has_link}
    response = render(request, "access/sign_in.html", context, status=status)
    response["Cache-Control"] = "no-store"
    return response


def _safe_path(target: str) -> str:
    """Returns a path of this server; that of the index in place of anything else."""
    is_ours = url_has_allowed_host_and_scheme(target, allowed_hosts=None)
    if is_ours and target.startswith("/") and "\\" not in unquote(target):
        return target
    return get_script_prefix()
