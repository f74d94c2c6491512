"""Reverse proxies on the same machine with their default settings, and no key: nobody reads
through them, whatever Host they send along."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from access.request_checks import KEY_HEADER
from tests.access.local.test_connection_owner import NOBODY, as_root, make_socket
from tests.conftest import running_on
from tests.support.ledger import Ledger
from tests.support.raw import read_response
from tests.support.reverse_proxy import HTTP_1_1, NGINX, running

HAPROXY = """
global
  user haproxy
  group haproxy
defaults
  mode {mode}
  timeout connect 5s
  timeout client 50s
  timeout server 50s
frontend public
  bind 127.0.0.1:{port}
  default_backend ledger
backend ledger
  server ledger 127.0.0.1:{ledger}
"""
HANDSHAKE = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}
SERVERS = {
    "nginx": NGINX.replace("{more}", ""),
    "nginx, HTTP/1.1": NGINX.replace("{more}", HTTP_1_1),
    "nginx, Host": NGINX.replace("{more}", HTTP_1_1 + "proxy_set_header Host $http_host;"),
    "HAProxy": HAPROXY.replace("{mode}", "http"),
    "HAProxy, TCP": HAPROXY.replace("{mode}", "tcp"),
    # Started by root without a user of its own it stays root, as AgentLedger is in this test.
    "HAProxy as root": HAPROXY.replace("{mode}", "http").replace("user haproxy", "user root"),
}


@contextmanager
def reverse_proxy(name: str, ledger: Ledger, folder: Path) -> Iterator[str]:
    """Yields the URL of a reverse proxy in front of the ledger."""
    program = "nginx" if name.startswith("nginx") else "haproxy"
    with running(program, SERVERS[name], ledger, folder) as url:
        yield url


@as_root
@pytest.mark.parametrize("name", SERVERS)
def test_nobody_reads_through_a_reverse_proxy(ledger: Ledger, tmp_path: Path, name: str) -> None:
    port = ledger.url.rsplit(":", 1)[1]
    # Root's own HAProxy looks like any program of root that asks for our port.
    forged = [] if name == "HAProxy as root" else ["localhost", f"localhost:{port}", "127.0.0.1"]
    with reverse_proxy(name, ledger, tmp_path) as url, httpx.Client(base_url=url) as visitor:
        for headers in ({}, *({"host": host} for host in forged)):
            for path in ("/", "/api/sessions", "/api/audit", "/dashboard/sessions/", "/admin/"):
                page = {**headers, "accept": "text/html"}
                assert visitor.get(path, headers=page).status_code == 403, (path, headers)
            json = {**headers, "accept": "application/json"}
            assert "AGENTLEDGER_API_KEY" in visitor.get("/api/sessions", headers=json).text
            assert visitor.delete("/api/sessions/x", headers=headers).status_code == 403
            stop = {"scope": "all", "reason": "x"}
            assert visitor.post("/api/stops", json=stop, headers=headers).status_code == 403
            assert visitor.get("/readyz", headers=headers).json() == {"status": "ready"}
            assert visitor.get("/ws", headers={**headers, **HANDSHAKE}).status_code == 403
        token = ledger.command("token", "create", name.replace(",", ""), "--role", "viewer")
        with_token = visitor.get("/api/sessions", headers={KEY_HEADER: token.stdout.strip()})
        assert with_token.status_code == 200
        assert visitor.get("/v1/models").status_code == 200  # agents need no key


@pytest.fixture(scope="module", params=["daphne-sqlite", "uvicorn-sqlite"])
def server(request: pytest.FixtureRequest) -> Iterator[Ledger]:
    with running_on(request.param, request) as ledger:
        yield ledger


@as_root
def test_another_users_program_does_not_read(server: Ledger) -> None:
    port = int(server.url.rsplit(":", 1)[1])
    fields = "".join(f"{name}: {value}\r\n" for name, value in HANDSHAKE.items())
    page = f"GET /api/sessions HTTP/1.1\r\nhost: localhost:{port}\r\n\r\n".encode()
    handshake = f"GET /ws HTTP/1.1\r\nhost: localhost:{port}\r\n{fields}\r\n".encode()
    for user, statuses in ((NOBODY, (403, 403, 403)), (os.geteuid(), (200, 200, 101))):
        with make_socket(socket.AF_INET, user) as connection:
            connection.connect(("127.0.0.1", port))
            connection.sendall(page)
            first = read_response(connection).status
            connection.sendall(page)
            second = read_response(connection).status
            connection.sendall(handshake)
            assert (first, second, int(connection.recv(4096).split()[1])) == statuses


@as_root
def test_a_trusted_proxy_of_another_user_names_no_local_operator(fresh: Ledger) -> None:
    """What is in front of it may come from loopback, too, whoever sends it."""
    fresh.env["AGENTLEDGER_TRUSTED_PROXIES"] = "127.0.0.1"
    with fresh:
        port = int(fresh.url.rsplit(":", 1)[1])
        for user, status in ((NOBODY, 403), (os.geteuid(), 200)):
            with make_socket(socket.AF_INET, user) as connection:
                connection.connect(("127.0.0.1", port))
                line = f"GET /api/sessions HTTP/1.1\r\nhost: localhost:{port}\r\n"
                connection.sendall(f"{line}x-forwarded-for: 127.0.0.1\r\n\r\n".encode())
                assert read_response(connection).status == status


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_commands_of_the_readme_work_for_our_own_user(ledger: Ledger) -> None:
    for path in ("/api/sessions", "/"):
        said = subprocess.run(["curl", "-sf", ledger.url + path], capture_output=True, timeout=30)
        assert (said.returncode, said.stderr) == (0, b"")
    browser = {"accept": "text/html", "sec-fetch-mode": "navigate", "sec-fetch-site": "none"}
    assert httpx.get(ledger.url, headers=browser).status_code == 200


def test_what_is_forwarded_is_not_local(server: Ledger) -> None:
    own = {"host": f"localhost:{server.url.rsplit(':', 1)[1]}"}
    assert server.get("/api/sessions", headers=own).status_code == 200
    for mark in (
        *({name: "127.0.0.1"} for name in MARKS.split()),
        {"host": "ledger.example"},
        {"host": "localhost.example"},
        {"host": "203.0.113.7"},
        {"host": "localhost:1"},
        {"host": "127.0.0.1:80"},
        {"host": ""},
    ):
        response = server.get("/api/sessions", headers={**own, **mark})
        assert response.status_code == 403, mark


def test_http_1_0_is_not_local(server: Ledger) -> None:
    address = ("127.0.0.1", int(server.url.rsplit(":", 1)[1]))
    for version, status in ((b"1.0", 403), (b"1.1", 200)):
        with socket.create_connection(address, timeout=30) as connection:
            connection.sendall(b"GET /api/sessions HTTP/%s\r\nhost: localhost\r\n\r\n" % version)
            assert read_response(connection).status == status


MARKS = """
forwarded via x-forwarded-for x-forwarded x-forwarded-host x-forwarded-proto x-forwarded-port
x-forwarded-server x-forwarded-by x-forwarded-prefix x-forwarded-scheme x-forwarded-ssl x-real-ip
x-client-ip true-client-ip client-ip cf-connecting-ip cf-connecting-ipv6 cf-ray cf-visitor cdn-loop
fastly-client-ip fly-client-ip x-cluster-client-ip x-original-for x-original-host x-original-proto
x-original-forwarded-for x-original-url x-envoy-external-address x-azure-clientip
x-appengine-user-ip x-vercel-forwarded-for x-nf-client-connection-ip incap-client-ip
x-proxyuser-ip x-remote-addr tailscale-user-login cloudfront-viewer-address front-end-https
"""
