"""What is written beside requests, by a thread of the proxy: when tokens were last used, floods of
failed log-ins, and with which settings this process began."""

from __future__ import annotations

import re
import time

from django.conf import settings
from django.db import DatabaseError, connection

from access import audit, failed_logins, tokens
from access.actors import AGENTLEDGER
from access.redaction import redact_url

# Their values may be secrets, whole or in part: the log tells that they are set.
BY_NAME_ONLY = re.compile("KEY|SECRET|TOKEN|PASSWORD|HEADERS|WEBHOOK")
EVERY_S = 60.0


class Housekeeping:
    def __init__(self) -> None:
        self._settings_told = False
        self._due = 0.0

    def when_due(self) -> None:
        """To be called again and again. While the database is away, what is to be written waits."""
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + (EVERY_S if self._settings_told else 1.0)
        self.now()

    def now(self, *, all_: bool = False) -> None:
        try:
            if not self._settings_told:
                audit.record(AGENTLEDGER, "start", "settings", **settings_told())
                self._settings_told = True
            tokens.write_uses()
            failed_logins.tell(all_=all_)
        except DatabaseError:
            connection.close()


def settings_told() -> dict[str, object]:
    told: dict[str, object] = {}
    for name, value in settings.AGENTLEDGER.given_variables().items():
        told[name] = "set" if BY_NAME_ONLY.search(name) else _shown(value)
    return {"version": settings.VERSION, "variables": told}


def _shown(value: object) -> object:
    if isinstance(value, str):
        return redact_url(value)
    if isinstance(value, tuple):
        return [str(entry) for entry in value]
    if hasattr(value, "items"):
        return {name: redact_url(url) for name, url in value.items()}
    return str(int(value)) if isinstance(value, bool) else str(value)
