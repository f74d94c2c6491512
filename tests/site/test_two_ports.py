"""AGENTLEDGER_DASHBOARD_PORT: pages and API at one port, the proxy at another."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.site.test_owned_paths import OURS, VARIANTS
from tests.support.ledger import CALL, COMMANDS, Ledger, wait_until
from tests.support.provider import Provider
from tests.support.raw import exchange, request

PROVIDERS = ["/v1/chat/completions", "/v1/models", "/api/chat", "/to/default/v1/x", "/health/x"]
# As docs/access.md has it.
UVICORN = """
import asyncio, socket, uvicorn
config = uvicorn.Config("agentledger_site.asgi:application", date_header=False, server_header=False)
ports = [socket.create_server(("127.0.0.1", port)) for port in ({}, {})]
asyncio.run(uvicorn.Server(config).serve(sockets=ports))
"""


@dataclass
class Ports:
    ledger: Ledger
    proxy: str
    dashboard: str


def free_ports() -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        return [found.getsockname()[1] for found in sockets]


@pytest.fixture(scope="module", params=["daphne", "uvicorn"])
def ports(
    request: pytest.FixtureRequest, _provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ports]:
    ledger = Ledger(tmp_path_factory.mktemp(request.param), _provider.url)
    if request.param == "daphne":
        ledger.env["AGENTLEDGER_DASHBOARD_PORT"] = "0"
        with ledger:
            said = ledger.log.read_text()
            proxy = said.split("Anthropic base URL  ")[1].split()[0]
            yield Ports(ledger, proxy, ledger.url)
        return
    port, dashboard = free_ports()
    ledger.env |= {
        "AGENTLEDGER_PORT": str(port),
        "AGENTLEDGER_DASHBOARD_PORT": str(dashboard),
    }
    assert ledger.command("migrate").returncode == 0
    process = subprocess.Popen(
        [sys.executable, "-c", UVICORN.format(port, dashboard)],
        cwd=ledger.folder,
        env=ledger.environment(),
    )
    proxy, ledger.url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{dashboard}"

    def is_up() -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"{proxy}/health").status_code == 200
        return False

    wait_until(is_up)
    yield Ports(ledger, proxy, ledger.url)
    process.terminate()
    process.wait(60)


def test_the_agents_port_has_the_proxy_alone(ports: Ports, provider: Provider) -> None:
    for path in ("/health", "/readyz"):
        assert httpx.get(ports.proxy + path).status_code == 200
    for path in set(OURS) - {"/health", "/readyz"}:
        for method in ("GET", "POST", "DELETE"):
            response = httpx.request(method, ports.proxy + path)
            assert response.status_code == 404, path
            assert "not at this port" in response.json()["detail"]
    for variant in VARIANTS.values():
        target = variant("/dashboard/sessions/")
        assert exchange(ports.proxy, request("GET", target)).status == 404
    assert provider.requests() == []
    headers = {"x-agentledger-session-id": "two"}
    url = f"{ports.proxy}/v1/chat/completions"
    assert httpx.post(url, json=CALL, headers=headers).status_code == 200
    assert ports.ledger.call("two")["outcome"] == "completed"


def test_the_dashboards_port_has_no_proxy(ports: Ports, provider: Provider) -> None:
    for path in PROVIDERS:
        for method in ("GET", "POST", "OPTIONS"):
            assert httpx.request(method, ports.dashboard + path).status_code == 404, path
    assert provider.requests() == []
    for path in ("/", "/api/sessions", "/admin/", "/health", "/readyz", "/dashboard/flow/"):
        assert httpx.get(ports.dashboard + path).status_code == 200, path


def test_pages_name_the_agents_port(ports: Ports) -> None:
    said = httpx.get(f"{ports.dashboard}/").json()
    assert said["openai_base_url"] == f"{ports.proxy}/v1"
    assert said["anthropic_base_url"] == ports.proxy
    assert said["sessions"] == f"{ports.dashboard}/api/sessions"


def test_websockets_belong_to_one_port_too(ports: Ports, provider: Provider) -> None:
    def status(url: str) -> int:
        with (
            pytest.raises(InvalidStatus) as caught,
            connect(url.replace("http", "ws"), proxy=None),
        ):
            pass
        return caught.value.response.status_code

    assert status(f"{ports.proxy}/ws") == 404
    assert status(f"{ports.dashboard}/v1/realtime") == 404
    assert provider.requests() == []
    with connect(f"{ports.dashboard}/ws".replace("http", "ws"), proxy=None) as live:
        assert live.recv(timeout=30)
    with suppress(InvalidStatus), connect(f"{ports.proxy}/v1/realtime".replace("http", "ws")):
        pass
    assert [received.target for received in provider.requests()] == ["/v1/realtime"]


@pytest.mark.parametrize("is_same", [True, False])
def test_a_port_that_cannot_be_is_reported_in_one_line(fresh: Ledger, is_same: bool) -> None:
    port, other = free_ports()
    with socket.create_server(("127.0.0.1", other)):
        fresh.env |= {
            "AGENTLEDGER_PORT": str(port),
            "AGENTLEDGER_DASHBOARD_PORT": str(port if is_same else other),
        }
        process = subprocess.run(
            COMMANDS["daphne"],
            cwd=fresh.folder,
            env=fresh.environment(),
            capture_output=True,
            text=True,
            timeout=60,
        )
    [line] = process.stderr.splitlines()
    assert process.returncode in (1, 2)
    assert "AGENTLEDGER_DASHBOARD_PORT" in line
