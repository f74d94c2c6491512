"""Writes to the database beside requests, in a thread of the proxy: when tokens were last used,
floods of failed log-ins, and the settings that this process started with."""

from __future__ import annotations

import re
import time

from django.conf import settings
from django.db import DatabaseError, connection

from access import audit, failed_logins, tokens
from access.actors import AGENTLEDGER_ITSELF
from access.redaction import redact_url

# Variables whose values may be secrets, whole or in part: the log only says that they are set.
SECRET_NAMES = re.compile("KEY|SECRET|TOKEN|PASSWORD|HEADERS|WEBHOOK")
INTERVAL_S = 60.0
FIRST_INTERVAL_S = 1.0


class BackgroundWriter:
    def __init__(self) -> None:
        self._has_recorded_settings = False
        self._due = 0.0

    def write_if_due(self) -> None:
        """Writes once a minute, however often it is called."""
        if time.monotonic() < self._due:
            return
        interval_s = INTERVAL_S if self._has_recorded_settings else FIRST_INTERVAL_S
        self._due = time.monotonic() + interval_s
        self.write()

    def write(self, *, is_last: bool = False) -> None:
        """Writes what there is. While the database is unavailable, it is kept for the next time."""
        try:
            if not self._has_recorded_settings:
                audit.record(AGENTLEDGER_ITSELF, "start", "settings", **describe_settings())
                self._has_recorded_settings = True
            tokens.write_uses()
            failed_logins.record_flood(is_last=is_last)
        except DatabaseError:
            connection.close()


def describe_settings() -> dict[str, object]:
    """Returns the version and the variables that the operator set, without secrets."""
    variables = {
        name: "set" if SECRET_NAMES.search(name) else _describe(value)
        for name, value in settings.AGENTLEDGER.values_by_variable().items()
    }
    return {"version": settings.VERSION, "variables": variables}


def _describe(value: object) -> object:
    if isinstance(value, str):
        return redact_url(value)
    if isinstance(value, tuple):
        return [str(entry) for entry in value]
    if hasattr(value, "items"):
        return {name: redact_url(url) for name, url in value.items()}
    return str(int(value)) if isinstance(value, bool) else str(value)
