"""What a command says of a database that does not answer."""

from __future__ import annotations

from django.db import DatabaseError

from agentledger_site.conf import config, without_secrets, without_secrets_of


def unusable(error: DatabaseError) -> str:
    dsn = config().dsn
    reason = without_secrets_of(dsn, str(error))
    if "no such table" in reason or ("relation" in reason and "does not exist" in reason):
        reason += "; `manage.py runproxy` and `manage.py migrate` make its tables"
    return f"the database {without_secrets(dsn)} cannot be used: {reason}"
