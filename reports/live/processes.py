"""Whether there are other processes, and through what they tell which calls run there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings

if TYPE_CHECKING:
    from reports.live.shared import Shared

_shared: Shared | None = None


def shared() -> Shared | None:
    """None: there is one process alone."""
    global _shared
    url = settings.AGENTLEDGER.redis_url
    if _shared is None and url is not None:
        from reports.live.shared import Shared  # the client takes 40 ms that few need

        _shared = Shared(url)
    return _shared
