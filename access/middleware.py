"""Decides who may use our own pages, and responds to those who may not. The proxy path runs no
middleware."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.auth.models import AnonymousUser
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden, JsonResponse
from django.http.response import HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware
from django.urls import Resolver404, resolve
from django.utils.functional import SimpleLazyObject

from access import audit, cookie, forwarded, views
from access.actors import Actor, actor_of, unknown_actor
from access.admin_site import get_or_create_user
from access.authentication import authenticate
from access.browsers import device_cookie
from access.request_checks import (
    DATABASE_UNAVAILABLE,
    KEY_HEADER,
    KEY_PARAMETER,
    SAFE_METHODS,
    Denial,
    RequestFacts,
    check_page,
)
from access.roles import Role


class Access:
    """Serves a request if its actor may use the route, and otherwise says why not."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        route = route_of(request)
        if route == "health":  # always served, whoever asks and whatever is unavailable
            return self.get_response(request)
        facts = read_facts(request)
        denial_of_page = check_page(facts)
        found = denial_of_page or _authenticate(facts, is_open=route in settings.ROUTE_RULES.open)
        actor = found if isinstance(found, Actor) else unknown_actor(facts.address)
        set_actor(request, actor)
        denial = denial_of_page or _authorize(found, route, facts)
        if denial is not None:
            response = _respond_to_probe(request, facts) or _respond_with_denial(request, denial)
        elif actor.known_by == "parameter" and wants_page(request) and actor.may(Role.VIEWER):
            response = _sign_in(request, actor)
        else:
            response = self.get_response(request)
        # Pages and data are not for shared caches.
        response.headers.setdefault("Cache-Control", "private, no-cache")
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Responds for views that do not handle an unavailable database themselves: the admin's."""
        if isinstance(error, OperationalError | InterfaceError):
            return _respond_with_denial(request, DATABASE_UNAVAILABLE)
        return None


class Csrf(CsrfViewMiddleware):
    """Browsers must send the token of one of our pages with what they change. Programs need none:
    no other page can make them send a request, or put the key into a header."""

    def process_view(
        self,
        request: HttpRequest,
        callback: Callable[..., HttpResponseBase],
        callback_args: tuple[Any, ...],
        callback_kwargs: dict[str, Any],
    ) -> HttpResponseForbidden | None:
        if not _needs_token(request):
            # CsrfViewMiddleware reads it.
            request.csrf_processing_done = True  # type: ignore[attr-defined]  # Django's own flag
            return None
        # Without the callback: the REST framework marks its views as exempt.
        return super().process_view(
            request, cast(Any, self.get_response), callback_args, callback_kwargs
        )

    def _origin_verified(self, request: HttpRequest) -> bool:
        return True  # `check_page` does it, and works where a proxy terminates TLS

    def _check_referer(self, request: HttpRequest) -> None:
        """Skips Django's check of the Referer, which is for browsers that send no Origin over TLS:
        none that are in use."""

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        response = super().process_response(request, response)
        if request.is_secure() and settings.CSRF_COOKIE_NAME in response.cookies:
            response.cookies[settings.CSRF_COOKIE_NAME]["secure"] = True
        return response


class AdminUser(AuthenticationMiddleware):
    """Gives the admin the user that it needs: the one of the actor's role."""

    def process_request(self, request: HttpRequest) -> None:
        actor = actor_of(request)
        has_role = actor.may(Role.VIEWER)
        # Looked up when it is used: only the admin's pages do.
        request.user = cast(
            Any,
            SimpleLazyObject(lambda: get_or_create_user(actor) if has_role else AnonymousUser()),
        )


def may_read(request: HttpRequest) -> bool:
    return actor_of(request).may(Role.VIEWER)


def set_actor(request: HttpRequest, actor: Actor) -> None:
    request.actor = actor  # type: ignore[attr-defined]  # HttpRequest has no such attribute


def route_of(request: HttpRequest) -> str | None:
    try:
        return resolve(request.path_info).view_name
    except Resolver404:
        return None


def wants_page(request: HttpRequest) -> bool:
    accepts = request.headers.get("accept", "").lower()
    return request.method in ("GET", "HEAD") and "text/html" in accepts


def read_facts(request: HttpRequest) -> RequestFacts:
    """Also replaces the request's address and scheme by those that a trusted proxy names, for all
    views and middleware that follow."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    scope: dict[str, Any] = getattr(request, "scope", {})  # none without a server
    address = request.META.get("REMOTE_ADDR")
    client = forwarded.read_client(address, headers, settings.AGENTLEDGER.trusted_proxies)
    if client is not None:
        address = request.META["REMOTE_ADDR"] = client.address or ""
        if client.scheme is not None:
            # Django asks the server's scope whether a request came over TLS.
            cast(Any, request).scope = {**scope, "scheme": client.scheme}
    return RequestFacts(
        address=address,
        host=request.META.get("HTTP_HOST", ""),
        headers=headers,
        key_parameter=request.GET.get(KEY_PARAMETER),
        cookie=request.COOKIES.get(cookie.NAME),
        device_cookie=request.COOKIES.get(device_cookie.NAME),
        method=request.method or "",
        http_version=scope.get("http_version", "1.1"),
        is_forwarded=client is not None and client.address is not None,
        peer=scope.get("client"),
        server=scope.get("server"),
    )


def _authenticate(facts: RequestFacts, *, is_open: bool) -> Actor | Denial:
    try:
        return authenticate(facts)
    except DatabaseError:
        return unknown_actor(facts.address) if is_open else DATABASE_UNAVAILABLE


def _authorize(found: Actor | Denial, route: str | None, facts: RequestFacts) -> Denial | None:
    if route in settings.ROUTE_RULES.open:
        return None
    if isinstance(found, Denial):
        return found
    rule = settings.ROUTE_RULES.find(route)
    if rule is None:
        return Denial(403, f"{route} is not served: it has no entry in the table of permissions")
    if not found.may(rule.read):
        return _deny_role(found, rule.read)
    if facts.is_write and rule.write is None:
        return Denial(405, f"the method {facts.method} is not allowed here")
    if facts.is_write and rule.write is not None and not found.may(rule.write):
        return _deny_role(found, rule.write)
    return None


def _deny_role(actor: Actor, needed: Role) -> Denial:
    return Denial(403, f"this requires the role {needed}; {actor.name} has {actor.role}")


def _respond_with_denial(request: HttpRequest, denial: Denial) -> HttpResponse:
    is_unknown = denial.status in (401, 403, 429) and actor_of(request).role is None
    response: HttpResponse
    if wants_page(request):
        response = views.denial_page(request, denial, may_sign_in=is_unknown)
    else:
        response = JsonResponse({"detail": denial.reason}, status=denial.status)
    if denial.retry_after_s is not None:
        response["Retry-After"] = str(denial.retry_after_s)
    if denial.status == 405:
        response["Allow"] = ", ".join(SAFE_METHODS[:3])
    return response


def _respond_to_probe(request: HttpRequest, facts: RequestFacts) -> HttpResponse | None:
    """Responds to an Ollama client that looks for a server at `/`: it sends no key, and accepts any
    content. Returns None for any other request."""
    has_key = KEY_HEADER in facts.headers or facts.key_parameter is not None
    is_probe = request.path_info == "/" and request.method in ("GET", "HEAD")
    if not is_probe or has_key or wants_page(request):
        return None
    return HttpResponse("AgentLedger is running", content_type="text/plain")


def _sign_in(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Replaces the key in the address by a cookie: the address may be bookmarked and shared."""
    parameters = request.GET.copy()
    del parameters[KEY_PARAMETER]
    query = f"?{parameters.urlencode()}" if parameters else ""
    try:
        audit.record(actor, "sign_in", request.path, shown_as="parameter")
    except DatabaseError:
        return views.denial_page(request, DATABASE_UNAVAILABLE, may_sign_in=False)
    return views.redirect_with_cookie(request, actor, request.path + query)


def _needs_token(request: HttpRequest) -> bool:
    actor = actor_of(request)
    match = request.resolver_match
    if match is not None and match.view_name in settings.ROUTE_RULES.open:
        return False
    # Without a key browsers send no cookie that distinguishes them from programs.
    is_page = "origin" in request.headers or "sec-fetch-site" in request.headers
    return actor.known_by == "cookie" or (actor.known_by == "place" and is_page)
