"""The error message of commands that cannot use the database."""

from __future__ import annotations

from django.conf import settings
from django.db import DatabaseError

from access.redaction import redact_error, redact_url


def describe_database_error(error: DatabaseError) -> str:
    dsn = settings.AGENTLEDGER.dsn
    reason = redact_error(error, dsn)
    if "no such table" in reason or ("relation" in reason and "does not exist" in reason):
        reason += "; `manage.py runproxy` and `manage.py migrate` create its tables"
    return f"the database {redact_url(dsn)} cannot be used: {reason}"
