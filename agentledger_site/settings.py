"""Django's settings, derived from `conf`: nothing here reads the environment."""

import os
import secrets
from typing import Any

import django_stubs_ext

from access import garbage_collection
from agentledger_site import conf, content_security, permissions
from agentledger_site.database import databases
from agentledger_site.static_url import PROJECT, content_digest

garbage_collection.pause()  # until the apps are ready
# Whatever a process of ours creates holds what agents said, or says who may read it. Here, since
# every process reads the settings first, whoever starts it.
os.umask(0o077)

django_stubs_ext.monkeypatch()

# The configuration, for all apps: they read it from Django's settings, and nowhere else.
AGENTLEDGER: conf.Config = conf.config()
VERSION: str = conf.VERSION

# Signs what need not outlive this process: the admin's messages. The cookies that browsers sign in
# with are signed with a key that is kept: access.cookie.
SECRET_KEY = AGENTLEDGER.secret_key or secrets.token_urlsafe(32)
DEBUG = False
# The middleware of access checks the Host of pages and API; the proxy path accepts any.
ALLOWED_HOSTS = ["*"]

INSTALLED_APPS = [
    "access.apps.LedgerAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "csp",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "access.apps.AccessConfig",
    "capture",
    "reports",
    "mcp",
]
MIDDLEWARE = [
    "agentledger_site.root_path.cookies_under_root",
    "django.middleware.security.SecurityMiddleware",
    # Before access: the files that come with AgentLedger are no secret.
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "agentledger_site.content_security.ContentSecurity",
    "access.middleware.Access",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "access.middleware.Csrf",
    "access.middleware.AdminUser",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]
ROOT_URLCONF = "agentledger_site.urls"
ASGI_APPLICATION = "agentledger_site.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [PROJECT / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "reports.dashboard.context_processors.page_context",
            ]
        },
    }
]
DATABASES = databases(AGENTLEDGER)
# Each process has one channel in the layer: reports.live.running_elsewhere.
CHANNEL_LAYERS: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}
}
if AGENTLEDGER.redis_url is not None:
    _host = {"address": AGENTLEDGER.redis_url, "socket_timeout": 0.5, "socket_connect_timeout": 0.5}
    CHANNEL_LAYERS["default"] = {
        "BACKEND": "reports.live.redis_layer.WaitingChannelLayer",
        "CONFIG": {"hosts": [_host], "prefix": "agentledger"},
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Access finds the actor of each request. There are no sessions in the database: what the admin
# keeps from one page to the next is in a cookie.
AUTHENTICATION_BACKENDS = ["access.admin_site.RoleBackend"]
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
MESSAGE_STORAGE = "django.contrib.messages.storage.cookie.CookieStorage"
# The rules that access applies.
ROUTE_RULES = permissions.ROUTE_RULES
CSRF_FAILURE_VIEW = "access.views.csrf_failure"

USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = f"/static/{content_digest()}/"
STORAGES = {"staticfiles": {"BACKEND": "agentledger_site.static_storage.StaticStorage"}}
STATICFILES_DIRS = [PROJECT / "static"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_ROOT = PROJECT / "static" / "root"  # /favicon.ico, which browsers ask for by themselves
WHITENOISE_AUTOREFRESH = False
WHITENOISE_IMMUTABLE_FILE_TEST = r"^/static/"

CONTENT_SECURITY_POLICY = {"DIRECTIVES": content_security.DIRECTIVES}

REST_FRAMEWORK = {
    # Who may read is decided before a view is reached: access.
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": ["reports.api.permissions.RolePermission"],
    "UNAUTHENTICATED_USER": None,
    "DEFAULT_RENDERER_CLASSES": [
        "reports.api.renderers.LedgerJSONRenderer",
        "rest_framework.renderers.BrowsableAPIRenderer",
    ],
    "EXCEPTION_HANDLER": "reports.api.errors.as_json",
    "DEFAULT_SCHEMA_CLASS": "reports.api.openapi.LedgerAutoSchema",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "AgentLedger",
    "DESCRIPTION": "Read and manage the ledger of the calls that agents made.",
    "VERSION": VERSION,
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    # From our own files: our pages send no request to another host.
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        "agentledger": {"level": "INFO"},
        # While Redis is unavailable it logs a traceback a second; reports.live says it once.
        "channels_redis": {"level": "CRITICAL"},
    },
}
