"""Who asks, what he may, and what he is told if he may not. Of our own pages alone: the proxy path
runs no middleware."""

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
from access.actors import Actor, actor_of, nobody
from access.admin_users import user_of
from access.authentication import identified
from access.request_checks import (
    KEY_HEADER,
    KEY_PARAMETER,
    SAFE_METHODS,
    Denied,
    Reader,
    denied_to_pages,
)
from access.roles import Role

DATABASE_AWAY = Denied(503, "the database does not answer; calls wait in the spool")


class Access:
    """Lets through who may do what he asks for, or tells him why not."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        route = route_of(request)
        if route == "health":  # answers always, whatever comes and whatever is away
            return self.get_response(request)
        reader = reader_of(request)
        elsewhere = denied_to_pages(reader)
        known = elsewhere or _identified(reader, is_open=route in settings.ROUTE_RULES.open)
        actor = known if isinstance(known, Actor) else nobody(reader.address)
        set_actor(request, actor)
        refusal = elsewhere or _refusal(known, route, reader)
        if refusal is not None:
            response = _probed(request, reader) or _refused(request, refusal)
        elif actor.known_by == "parameter" and wants_page(request) and actor.may(Role.VIEWER):
            response = _signed_in(request, actor)
        else:
            response = self.get_response(request)
        return _guarded(response)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Of views that do not answer this themselves: the admin's."""
        if isinstance(error, OperationalError | InterfaceError):
            return _refused(request, DATABASE_AWAY)
        return None


class Csrf(CsrfViewMiddleware):
    """Browsers must send the token of a page of ours with what they change; programs need none:
    nobody else's page can make them ask, or show the key in a header."""

    def process_view(
        self,
        request: HttpRequest,
        callback: Callable[..., HttpResponseBase],
        callback_args: tuple[Any, ...],
        callback_kwargs: dict[str, Any],
    ) -> HttpResponseForbidden | None:
        if not _needs_token(request):
            request.csrf_processing_done = True  # type: ignore[attr-defined]
            return None
        # Without the callback: views of the REST framework ask to be exempt.
        return super().process_view(
            request, cast(Any, self.get_response), callback_args, callback_kwargs
        )

    def _origin_verified(self, request: HttpRequest) -> bool:
        return True  # looked at for all requests, and where TLS ends before us: `denied_to_pages`

    def _check_referer(self, request: HttpRequest) -> None:
        """Of browsers that send no Origin over TLS: none that are in use."""

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        response = super().process_response(request, response)
        if request.is_secure() and settings.CSRF_COOKIE_NAME in response.cookies:
            response.cookies[settings.CSRF_COOKIE_NAME]["secure"] = True
        return response


class AdminUser(AuthenticationMiddleware):
    """The admin wants a user: whoever acts is one, by his role."""

    def process_request(self, request: HttpRequest) -> None:
        actor = actor_of(request)
        has_role = actor.may(Role.VIEWER)
        # Looked up only if someone asks: no page but the admin's does.
        request.user = cast(
            Any, SimpleLazyObject(lambda: user_of(actor) if has_role else AnonymousUser())
        )


def may_read(request: HttpRequest) -> bool:
    return actor_of(request).may(Role.VIEWER)


def set_actor(request: HttpRequest, actor: Actor) -> None:
    request.actor = actor  # type: ignore[attr-defined]


def route_of(request: HttpRequest) -> str | None:
    try:
        return resolve(request.path_info).view_name
    except Resolver404:
        return None


def wants_page(request: HttpRequest) -> bool:
    accepts = request.headers.get("accept", "").lower()
    return request.method in ("GET", "HEAD") and "text/html" in accepts


def reader_of(request: HttpRequest) -> Reader:
    """Puts the address and the scheme that a trusted proxy tells in their place, for all that
    comes after."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    address = request.META.get("REMOTE_ADDR")
    client = forwarded.client(address, headers, settings.AGENTLEDGER.trusted_proxies)
    if client is not None:
        address = request.META["REMOTE_ADDR"] = client.address or ""
        if client.scheme is not None:
            # Django asks the server's scope whether a request came over TLS.
            scope = cast(Any, request).scope
            cast(Any, request).scope = {**scope, "scheme": client.scheme}
    return Reader(
        address=address,
        host=request.META.get("HTTP_HOST", ""),
        headers=headers,
        key_parameter=request.GET.get(KEY_PARAMETER),
        cookie=request.COOKIES.get(cookie.NAME),
        method=request.method or "",
        is_vouched_for=client is not None and client.address is not None,
    )


def _identified(reader: Reader, *, is_open: bool) -> Actor | Denied:
    try:
        return identified(reader)
    except DatabaseError:
        return nobody(reader.address) if is_open else DATABASE_AWAY


def _refusal(known: Actor | Denied, route: str | None, reader: Reader) -> Denied | None:
    if route in settings.ROUTE_RULES.open:
        return None
    if isinstance(known, Denied):
        return known
    rule = settings.ROUTE_RULES.find(route)
    if rule is None:
        return Denied(403, f"nobody may use {route}: it is in no table of permissions")
    if not known.may(rule.read):
        return _lacks(known, rule.read)
    if reader.writes and rule.write is None:
        return Denied(405, f"{reader.method} changes nothing here")
    if reader.writes and rule.write is not None and not known.may(rule.write):
        return _lacks(known, rule.write)
    return None


def _lacks(actor: Actor, needed: Role) -> Denied:
    return Denied(403, f"this needs the role {needed}; {actor.name} has {actor.role}")


def _refused(request: HttpRequest, refusal: Denied) -> HttpResponse:
    is_unknown = refusal.status in (401, 403, 429) and actor_of(request).role is None
    response: HttpResponse
    if wants_page(request):
        response = views.refused(request, refusal, may_sign_in=is_unknown)
    else:
        response = JsonResponse({"detail": refusal.reason}, status=refusal.status)
    if refusal.retry_after_s is not None:
        response["Retry-After"] = str(refusal.retry_after_s)
    if refusal.status == 405:
        response["Allow"] = ", ".join(SAFE_METHODS[:3])
    return response


def _probed(request: HttpRequest, reader: Reader) -> HttpResponse | None:
    """An Ollama client asks `/` whether there is a server; it wants no page, and shows no key."""
    shows_key = KEY_HEADER in reader.headers or reader.key_parameter is not None
    is_read = request.path == "/" and request.method in ("GET", "HEAD")
    if not is_read or shows_key or wants_page(request):
        return None
    return HttpResponse("AgentLedger is running", content_type="text/plain")


def _signed_in(request: HttpRequest, actor: Actor) -> HttpResponse:
    """From now on by cookie, under an address that may be shown and kept."""
    parameters = request.GET.copy()
    del parameters[KEY_PARAMETER]
    query = f"?{parameters.urlencode()}" if parameters else ""
    try:
        audit.record(actor, "sign_in", request.path, shown_as="parameter")
    except DatabaseError:
        return views.refused(request, DATABASE_AWAY, may_sign_in=False)
    return views.with_cookie(request, actor, request.path + query)


def _needs_token(request: HttpRequest) -> bool:
    actor = actor_of(request)
    match = request.resolver_match
    if match is not None and match.view_name in settings.ROUTE_RULES.open:
        return False
    # A page that is open without a key sends no cookie that tells it from a program.
    is_page = "origin" in request.headers or "sec-fetch-site" in request.headers
    return actor.known_by == "cookie" or (actor.known_by == "place" and is_page)


def _guarded(response: HttpResponse) -> HttpResponse:
    """What is read here is not for shared caches."""
    response.headers.setdefault("Cache-Control", "private, no-cache")
    return response
