"""The stand-in provider that every system is measured against: nginx, with one fixed response."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.support.processes import (
    PROJECT,
    SystemFailed,
    clean_environment,
    free_port,
    responds,
    tail,
)

# nginx puts a new id into each response, as a provider does.
RESPONSE = (
    '{"id":"chatcmpl-$request_id","object":"chat.completion","created":1767225600,'
    '"model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"message":{"role":"assistant",'
    '"content":"The second region is the one to look at first: the document says that revenue rose '
    "there, while it fell in the third and transport costs stayed where they were. It gives no "
    "figures by month, so how fast revenue rose cannot be told from it; the monthly figures that "
    'two members asked for would be needed for that.","refusal":null,"annotations":[]},'
    '"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":312,"completion_tokens":74,'
    '"total_tokens":386,"prompt_tokens_details":{"cached_tokens":128,"audio_tokens":0},'
    '"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,'
    '"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}},"service_tier":"default",'
    '"system_fingerprint":"fp_560af6e559"}'
)
NGINX = """
{user}
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    client_max_body_size 0;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            default_type application/json;
            add_header x-request-id req_$request_id;
            add_header openai-processing-ms 412;
            add_header x-ratelimit-remaining-requests 9999;
            return 200 '{response}';
        }}
    }}
}}
"""


@contextmanager
def json_upstream(folder: Path) -> Iterator[int]:
    """Runs nginx on a free port, which it yields."""
    folder.mkdir()
    port = free_port()
    # Started by root, nginx would serve as another user, who may not enter our folder.
    user = "user root;" if os.geteuid() == 0 else ""
    configuration = folder / "nginx.conf"
    configuration.write_text(NGINX.format(user=user, folder=folder, port=port, response=RESPONSE))
    command = [nginx_path() or "nginx", "-e", f"{folder}/log", "-c", str(configuration)]
    with _running(command, port, folder):
        yield port


@contextmanager
def stream_upstream(folder: Path, *, chunks: int) -> Iterator[int]:
    """Runs `benchmarks/support/stream_standin.py` on a free port, which it yields."""
    folder.mkdir()
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.support.stream_standin", str(port), str(chunks)]
    with _running(command, port, folder):
        yield port


def nginx_path() -> str | None:
    """The path of nginx, which Debian installs where only root looks for commands."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


@contextmanager
def _running(command: list[str], port: int, folder: Path) -> Iterator[None]:
    log = folder / "log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            env=clean_environment(folder),
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 20
        while not responds(f"http://127.0.0.1:{port}/"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemFailed(f"the stand-in does not respond: {tail(log)}")
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(folder, ignore_errors=True)
