"""The WebSockets that are served here."""

from __future__ import annotations

from django.urls import path

from reports.consumers import LiveCalls

websocket_urlpatterns = [path("ws", LiveCalls.as_asgi(), name="live")]
