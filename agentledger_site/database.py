"""Translates AGENTLEDGER_DSN into Django's DATABASES."""

from __future__ import annotations

from typing import Any

from access.redaction import redact_error
from agentledger_site.conf import BadValue, Config
from agentledger_site.variables import PREFIX

# Seconds that readers and writers of SQLite wait for the one writer before they give up.
BUSY_TIMEOUT_S = 20
# A page's thread keeps its connection for the next page (agentledger_site.page_threads), but not
# for ever: the file may have been replaced. A connection that PostgreSQL closed is not used again.
PERSISTENCE = {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}


def databases(config: Config) -> dict[str, Any]:
    database = sqlite(config) if config.sqlite_path else postgresql(config)
    return {"default": {**database, **PERSISTENCE}}


def sqlite(config: Config) -> dict[str, Any]:
    # Under NORMAL a power cut may undo the last transactions of a WAL database. Their spool is gone
    # by then, so the ledger syncs if the spool does.
    synchronous = "FULL" if config.spool_fsync else "NORMAL"
    return {
        "ENGINE": "capture.sqlite",
        "NAME": str(config.sqlite_path),
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": BUSY_TIMEOUT_S,
            # Deleted text is overwritten with zeros, not just marked as free.
            "init_command": f"PRAGMA journal_mode=WAL; PRAGMA synchronous={synchronous};"
            " PRAGMA secure_delete=ON;",
        },
    }


def postgresql(config: Config) -> dict[str, Any]:
    """Accepts any libpq URI. Raises BadValue for one that libpq cannot read."""
    # Imported here: it takes a fifth of a second, which SQLite need not pay.
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        parameters: dict[str, Any] = dict(conninfo_to_dict(config.dsn))
    except ProgrammingError as unreadable:
        reason = redact_error(unreadable, config.dsn)
        raise BadValue(
            f"{PREFIX}DSN", config.dsn, f"a URI that libpq can read ({reason})"
        ) from None
    parameters.setdefault("connect_timeout", 10)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parameters.pop("dbname", ""),
        "USER": parameters.pop("user", ""),
        "PASSWORD": parameters.pop("password", ""),
        "HOST": parameters.pop("host", ""),
        "PORT": parameters.pop("port", ""),
        "OPTIONS": parameters,
    }
