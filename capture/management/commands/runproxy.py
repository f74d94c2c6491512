from __future__ import annotations

import asyncio
import dataclasses
import re
import signal
import socket
import threading
from argparse import ArgumentParser
from collections.abc import Callable
from functools import partial
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, OperationalError, connection, transaction
from django.db.models import F
from django.utils.module_loading import import_string

from access import garbage_collection
from access.local import startup_notes
from access.redaction import redact_error, redact_url
from capture.demo import provider
from capture.models import Ledger
from capture.proxy import runtime
from capture.recorder.maintenance import migrate
from capture.spool.folder import SpoolError
from capture.sqlite.files import create_if_missing
from capture.upstream.routing import Destinations


class Command(BaseCommand):
    help = "Serve the proxy and the pages, and record every call."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--demo",
            action="store_true",
            help="forward to an embedded stand-in provider and play a short run of three agents",
        )

    def handle(self, *, demo: bool, **options: Any) -> None:
        config = settings.AGENTLEDGER
        refuse_used_port(config.host, config.port, "AGENTLEDGER_PORT")
        if config.dashboard_port is not None:
            refuse_used_port(config.host, config.dashboard_port, "AGENTLEDGER_DASHBOARD_PORT")
        prepare_database()
        if demo:
            settings.AGENTLEDGER = dataclasses.replace(
                settings.AGENTLEDGER,
                upstream_url=provider.serve_in_thread().base_url,
                given=settings.AGENTLEDGER.given | {"upstream_url"},
            )
        serve(is_demo=demo, write_line=self.write_line)

    def write_line(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def refuse_used_port(host: str, port: int, variable: str) -> None:
    """Raises CommandError if the port cannot be bound, before anything is started."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise CommandError(
            f"cannot listen on {host} port {port}: {error.strerror};"
            f" choose another with {variable} or AGENTLEDGER_HOST"
        ) from None


# --- the database ---


def prepare_database() -> None:
    """Creates or updates the tables. Raises CommandError for a database that can never be used. The
    recorder waits for one that is only unavailable."""
    config = settings.AGENTLEDGER
    try:
        create_if_missing(config.sqlite_path)
        migrate()
        if config.sqlite_path is not None:
            refuse_read_only()
    except (DatabaseError, OSError) as error:
        reason = redact_error(error, config.dsn)
        is_refused = isinstance(error, OperationalError) and config.sqlite_path is None
        if not (is_refused and is_temporary(reason)):
            name = redact_url(config.dsn)
            raise CommandError(f"the database {name} cannot be used: {reason}") from None
    finally:
        connection.close()


def refuse_read_only() -> None:
    """Raises DatabaseError for a SQLite file that cannot be written to: if its tables are up to
    date, nothing has tried yet. Another program's lock is no reason to refuse, nor to wait here:
    the recorder waits for it."""
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout = 0")
    try:
        with transaction.atomic():
            Ledger.objects.update(last_seq=F("last_seq"))
            transaction.set_rollback(True)
    except OperationalError as error:
        if "locked" not in str(error):
            raise


def is_temporary(reason: str) -> bool:
    """Returns whether PostgreSQL may accept a later connection: it is down, starting or full. A
    wrong password, user, database name or parameter stays wrong."""
    return not re.search(
        r"password authentication failed|no password supplied|does not exist|no pg_hba.conf entry"
        r"|invalid port number|invalid \w+ value|Servname not supported|could not match",
        reason,
    )


# --- the server ---


def serve(*, is_demo: bool, write_line: Callable[[str], None]) -> None:
    """Serves until a signal arrives. Raises CommandError."""
    garbage_collection.pause()  # until the application has loaded all views
    # Importing it installs Twisted's reactor.
    from capture.server.daphne_server import Server, loop

    async def ensure_running() -> None:
        runtime.ensure_running()

    config = settings.AGENTLEDGER
    server = Server(
        import_string(settings.ASGI_APPLICATION),
        host=config.host,
        ports=[port for port in (config.port, config.dashboard_port) if port is not None],
        on_ready=partial(announce, is_demo=is_demo, write_line=write_line),
    )
    try:
        loop.run_until_complete(ensure_running())
    except SpoolError as error:
        raise CommandError(str(error)) from None
    stop_at_signals(server)
    server.run()
    if server.listen_failure:
        loop.run_until_complete(runtime.end())
        raise CommandError(server.listen_failure)


def stop_at_signals(server: Any) -> None:
    """The first SIGTERM or SIGINT lets running calls end, the second stops at once."""
    from capture.server.daphne_server import loop, reactor  # see `serve`

    async def stop() -> None:
        server.close_listener()
        await runtime.drain()
        await server.cancel_applications()
        await runtime.end()
        reactor.stop()

    def on_signal() -> None:
        if not stopping:
            stopping.append(loop.create_task(stop()))
        else:
            reactor.callFromThread(reactor.stop)

    stopping: list[asyncio.Task[None]] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)


def announce(ports: list[int], *, is_demo: bool, write_line: Callable[[str], None]) -> None:
    """Writes where this process can be reached, and starts the demo's agents."""
    # A port 0 is known only now; the application tells a request by its port.
    port, *more = ports
    settings.AGENTLEDGER = dataclasses.replace(
        settings.AGENTLEDGER, port=port, dashboard_port=more[0] if more else None
    )
    for line in describe_addresses():
        write_line(line)
    startup_notes.warn_of_open_doors()
    if is_demo:
        from capture.demo import play  # loads a client that only the demo needs

        arguments = (f"http://127.0.0.1:{port}", write_line)
        threading.Thread(target=play.play, args=arguments, daemon=True).start()


def describe_addresses() -> list[str]:
    config = settings.AGENTLEDGER
    host = "localhost" if config.host in ("0.0.0.0", "::", "") else config.host
    origin = f"http://{f'[{host}]' if ':' in host else host}"
    url, dashboard = f"{origin}:{config.port}", f"{origin}:{config.dashboard_port or config.port}"
    upstreams = Destinations(config.upstreams, config.default_upstream_url).urls()
    return [
        f"AgentLedger {settings.VERSION}",
        f"  Dashboard           {dashboard}/",
        *startup_notes.describe_sign_in(dashboard),
        f"  OpenAI base URL     {url}/v1",
        f"  Anthropic base URL  {url}",
        *(f"  {f'Upstream {name}':<18}  {url}" for name, url in upstreams.items()),
        f"  Database            {redact_url(config.dsn)}",
        f"  Spool               {config.spool_path}",
        f"  API key             {startup_notes.describe_key()}",
    ]
