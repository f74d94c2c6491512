"""The Content-Security-Policy of our pages: their scripts are files of ours.

Providers' paths share our origin, so 'self' is not narrow enough, and a source with a path needs a
host, which a page may be asked for under any name. Two policies apply at once, and a script must
satisfy both: any host's /static/, and our own origin.
"""

from __future__ import annotations

from csp.constants import HEADER, NONE, SELF
from csp.middleware import CSPMiddleware
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import get_script_prefix

STATIC_FILES = "*:*/static/"  # below the root path of each request

DIRECTIVES: dict[str, list[str]] = {
    "default-src": [NONE],
    "script-src": [STATIC_FILES],
    "style-src": [SELF],
    "img-src": [SELF, "data:"],
    "connect-src": [SELF],
    "font-src": [SELF],
    "worker-src": [STATIC_FILES],
    "base-uri": [NONE],
    "frame-ancestors": [NONE],
    "form-action": [SELF],
}
SECOND_POLICY = f"script-src {SELF}; worker-src {SELF}"


class ContentSecurity(CSPMiddleware):
    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        super().process_response(request, response)
        if HEADER in response:
            policy = response[HEADER].replace(STATIC_FILES, f"*:*{get_script_prefix()}static/")
            response[HEADER] = f"{policy}, {SECOND_POLICY}"
        return response
