"""The table of systems that are measured: how each is started, and where it keeps its calls."""

from dataclasses import dataclass


@dataclass(frozen=True)
class System:
    """`command` and `environment` may hold {python}, {port}, {folder} and {upstream_url}."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]
    session_header: str
    count_sql: str
    prepare: tuple[str, ...] = ()  # run to its end before each start
    foreign: bool = False  # runs on the competitor's interpreter


OURS = {
    "AGENTLEDGER_UPSTREAM_URL": "{upstream_url}",
    "AGENTLEDGER_DSN": "sqlite:///{folder}/ledger.db",
    "AGENTLEDGER_SPOOL_DIR": "{folder}/spool",
    "AGENTLEDGER_HOST": "127.0.0.1",
    "AGENTLEDGER_PORT": "{port}",
}
THEIRS = {
    "AGENTICLEDGER_UPSTREAM_URL": "{upstream_url}",
    "AGENTICLEDGER_DSN": "sqlite:///{folder}/ledger.db",
    "AGENTICLEDGER_PORT": "{port}",
}
# Its documented `python -m agenticledger.proxy` builds the same application and serves it with the
# same uvicorn, but always with an access log. Ours runs without one, so it does here too.
SERVE_THEIRS = """
import os, uvicorn
from agenticledger.proxy.app import create_app
application = create_app(
    upstream_url=os.environ["AGENTICLEDGER_UPSTREAM_URL"],
    dsn=os.environ["AGENTICLEDGER_DSN"],
    async_capture=os.environ["AGENTICLEDGER_ASYNC_CAPTURE"] == "1",
)
port = int(os.environ["AGENTICLEDGER_PORT"])
uvicorn.run(application, host="127.0.0.1", port=port, access_log=False)
"""
OUR_CALLS = "SELECT count(*) FROM capture_call"
THEIR_CALLS = "SELECT count(*) FROM llm_calls"

MIGRATE = ("{python}", "manage.py", "migrate", "--verbosity=0")

SYSTEMS = (
    System(
        name="agentledger-uvicorn",
        prepare=MIGRATE,
        command=(
            *("{python}", "-m", "uvicorn", "agentledger_site.asgi:application"),
            *("--host", "127.0.0.1", "--port", "{port}"),
            *("--no-date-header", "--no-server-header", "--no-access-log"),
        ),
        environment=OURS,
        session_header="x-agentledger-session-id",
        count_sql=OUR_CALLS,
    ),
    System(
        name="agentledger-daphne",
        command=("{python}", "manage.py", "runproxy"),
        environment=OURS,
        session_header="x-agentledger-session-id",
        count_sql=OUR_CALLS,
    ),
    System(
        name="agentic-ledger-async",
        command=("{python}", "-c", SERVE_THEIRS),
        environment={**THEIRS, "AGENTICLEDGER_ASYNC_CAPTURE": "1"},
        session_header="x-agenticledger-session-id",
        count_sql=THEIR_CALLS,
        foreign=True,
    ),
    System(
        name="agentic-ledger-sync",
        command=("{python}", "-c", SERVE_THEIRS),
        environment={**THEIRS, "AGENTICLEDGER_ASYNC_CAPTURE": "0"},
        session_header="x-agenticledger-session-id",
        count_sql=THEIR_CALLS,
        foreign=True,
    ),
)
