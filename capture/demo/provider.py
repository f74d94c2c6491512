"""The stand-in provider of `runproxy --demo`, which speaks three APIs and needs no key.

A model whose name contains "missing" gets the API's own 404."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import orjson
from aiohttp import web

from capture.demo import anthropic_messages, openai_chat, openai_responses
from capture.demo.reply import SNAPSHOTS, Api, BadRequest, DemoRequest, Reply, new_id
from capture.demo.script import reply_to

PACE_S = 0.03  # between the pieces of a stream
THINKING_S = 0.15  # before a response begins
MAX_BODY_BYTES = 64 * 2**20
APIS: dict[str, Api] = {
    "/v1/chat/completions": openai_chat,
    "/v1/responses": openai_responses,
    "/v1/messages": anthropic_messages,
}


def application() -> web.Application:
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.router.add_get("/v1/models", _models)
    for path in APIS:
        app.router.add_post(path, _generate)
    return app


async def start(host: str = "127.0.0.1", port: int = 0) -> tuple[web.AppRunner, str]:
    """Serves on the running event loop; returns the runner, whose `cleanup()` ends it, and the base
    URL without a trailing slash."""
    runner = web.AppRunner(application(), handle_signals=False, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except BaseException:  # cancelled or failed: the sockets are closed, then it goes on
        await runner.cleanup()
        raise
    bound_host, bound_port = runner.addresses[0][:2]
    url_host = f"[{bound_host}]" if ":" in bound_host else bound_host
    return runner, f"http://{url_host}:{bound_port}"


class ProviderThread:
    """The provider on an event loop of its own, in a thread. As a context manager it stops at the
    end of the block."""

    def __init__(self, host: str, port: int) -> None:
        self._started: Future[str] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(host, port)), name="demo-provider", daemon=True
        )
        self._thread.start()
        self.base_url = self._started.result()

    async def _serve(self, host: str, port: int) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        try:
            runner, base_url = await start(host, port)
        except Exception as error:  # passed on, of any kind, to whoever waits for the port
            self._started.set_exception(error)
            return
        self._started.set_result(base_url)
        await self._stopping.wait()
        await runner.cleanup()

    def stop(self) -> None:
        """Closes the listener and all connections; a second call does nothing."""
        if self._thread.is_alive() and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def __enter__(self) -> "ProviderThread":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def serve_in_thread(host: str = "127.0.0.1", port: int = 0) -> ProviderThread:
    """Returns when the port is open. Raises OSError if it cannot be opened."""
    return ProviderThread(host, port)


async def _generate(request: web.Request) -> web.StreamResponse:
    api = APIS[request.path]
    raw = await request.read()
    try:
        parsed = api.parse_request(_load(raw))
    except BadRequest as bad:
        return _json(api.bad_request(str(bad)), status=400)
    if "missing" in parsed.model:
        return _json(api.no_such_model(parsed.model), status=404)
    reply = reply_to(parsed, n_bytes=len(raw))
    await asyncio.sleep(THINKING_S)
    if parsed.stream:
        return await _send_stream(request, api.events(parsed, reply))
    await asyncio.sleep(_generation_s(api, parsed, reply))
    return _json(api.response(parsed, reply))


def _load(raw: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadRequest("We could not parse the JSON body of your request.") from error
    if not isinstance(body, dict) or not isinstance(body.get("model"), str):
        raise BadRequest("you must provide a model parameter")
    return body


def _generation_s(api: Api, request: DemoRequest, reply: Reply) -> float:
    """Returns the seconds that the same response would take as a stream: without streaming it is no
    faster."""
    return PACE_S * sum(1 for _ in api.events(request, reply))


async def _send_stream(request: web.Request, pieces: Iterator[bytes]) -> web.StreamResponse:
    headers = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
    response = web.StreamResponse(headers=headers | _request_ids())
    await response.prepare(request)
    for piece in pieces:
        await response.write(piece)
        await asyncio.sleep(PACE_S)
    await response.write_eof()
    return response


def _json(body: dict[str, Any], *, status: int = 200) -> web.Response:
    return web.Response(
        status=status,
        body=orjson.dumps(body),
        content_type="application/json",
        headers=_request_ids(),
    )


def _request_ids() -> dict[str, str]:
    """Returns the headers that OpenAI's SDK and Anthropic's read."""
    request_id = new_id("req_")
    return {"x-request-id": request_id, "request-id": request_id}


async def _models(request: web.Request) -> web.Response:
    if "anthropic-version" in request.headers:
        names = [name for name in SNAPSHOTS if name.startswith("claude")]
        made = {"type": "model", "created_at": "2026-01-01T00:00:00Z"}
        models = [made | {"id": name, "display_name": name} for name in names]
        paging = {"has_more": False, "first_id": names[0], "last_id": names[-1]}
        return _json({"data": models} | paging)
    shared = {"object": "model", "created": 1767225600, "owned_by": "demo"}
    return _json({"object": "list", "data": [{"id": name} | shared for name in SNAPSHOTS]})
