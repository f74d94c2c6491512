"""URLs and error messages without the secrets in them, for logs, pages and the audit log."""

from __future__ import annotations

import re
from urllib.parse import unquote

# The parameters of a DSN whose values may be shown. A list of those that may not would miss the
# password under a name that libpq does not know.
HARMLESS = frozenset(
    "application_name connect_timeout dbname host hostaddr port sslmode target_session_attrs"
    " user".split()
)


def redact_url(url: str) -> str:
    """Returns the URL, or what was meant to be one, with its secrets replaced by an ellipsis. A DSN
    keeps its host, database and user: operators know it by them."""
    if url.startswith("sqlite:"):
        return url
    if not url.startswith(("postgresql://", "postgres://")):
        return re.sub(r"=.*", "=…", re.sub(r":/.*@", "://…@", url))
    # As libpq reads it: the password ends at the first @, before any slash.
    shown = re.sub(r"(?<=://)([^:@/?]*):[^@/]*@", r"\1:…@", url)
    shown = re.sub(r"(?<=[?&])([^=&]*)=?[^&]*", _redact_parameter, shown)
    # As it may have been meant: with a slash or an @ in the password.
    return re.sub(r"(?<=://)([^:@/?]*):.*@", r"\1:…@", shown)


def _redact_parameter(match: re.Match[str]) -> str:
    if match[1] in HARMLESS:
        return match[0]
    return f"{match[1]}=…" if "=" in match[0] else "…"


def redact_error(error: object, url: str) -> str:
    """Returns the error in one line, without quoting any word of the secret parts of `url`."""
    shown, secret = redact_url(url), url + unquote(url)

    def redact_quoted(match: re.Match[str]) -> str:
        return "…" if match[2] in secret and match[2] not in shown else match[0]

    return re.sub(r"""(["'])(.*?)\1""", redact_quoted, " ".join(str(error).split()))
