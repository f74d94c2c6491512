"""The types of an ASGI application's three arguments, and of a body that is streamed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

Chunks = AsyncGenerator[tuple[bytes, bool], None]
"""The chunks of a response's body, each with whether it is the last."""
