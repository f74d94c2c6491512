"""Reverse proxies in front of a ledger: Debian's nginx, and HAProxy."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.ledger import Ledger, wait_until

# Debian's nginx runs its workers as www-data, HAProxy as haproxy.
NGINX = """
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://127.0.0.1:{ledger};
      {more}
    }}
  }}
}}
"""
HTTP_1_1 = """proxy_http_version 1.1;
      proxy_set_header Connection $http_connection;
      proxy_set_header Upgrade $http_upgrade;"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(program: str, config: str, ledger: Ledger, folder: Path) -> Iterator[str]:
    """Yields the URL of a proxy. `config` has places for the folder, its port and the ledger's."""
    path = shutil.which(program, path="/usr/sbin")
    if path is None:
        pytest.skip(f"{program} is not installed")
    port, target = free_port(), ledger.url.rsplit(":", 1)[1]
    folder.chmod(0o755)
    file = folder / "proxy.conf"
    file.write_text(config.format(folder=folder, port=port, ledger=target))
    flags = ["-g", "daemon off;", "-c"] if program == "nginx" else ["-db", "-f"]
    with (folder / "proxy.log").open("wb") as log:
        process = subprocess.Popen([path, *flags, str(file)], stdout=log, stderr=log)
    try:
        wait_until(lambda: process.poll() is not None or listens(port))
        assert process.poll() is None, (folder / "proxy.log").read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True
