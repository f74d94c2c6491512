"""The members of aiohttp and websockets that are no documented interface and that the upstream
clients use or replace. An upgrade that renames one fails here, and says which."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import ClientRequest, ClientResponse, ClientSession, StreamReader, TCPConnector
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http_writer import StreamWriter
from aiohttp.payload import BytesPayload
from websockets.asyncio.client import ClientConnection, connect
from yarl import URL


def parameters(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)


async def session_members() -> set[str]:
    async with ClientSession() as session:
        return set(dir(session))


async def request_members() -> set[str]:
    """The members of a request with a body."""
    loop = asyncio.get_running_loop()
    request = ClientRequest(
        "POST", URL("http://127.0.0.1/"), loop=loop, data=b"body", response_class=ClientResponse
    )
    assert isinstance(request._body, BytesPayload)
    return {name for name in dir(request) if not name.startswith("__")}


async def writer_members() -> set[str]:
    loop = asyncio.get_running_loop()
    return set(dir(StreamWriter(ResponseHandler(loop), loop)))


def test_the_session_decides_to_send_a_request_again_by_its_retry_connection() -> None:
    assert "_retry_connection" in asyncio.run(session_members())
    assert "self._retry_connection" in inspect.getsource(ClientSession._request)


def test_the_connector_takes_a_connection_from_its_pool_by_get() -> None:
    assert parameters(TCPConnector._get) == ["self", "key", "traces"]
    assert inspect.iscoroutinefunction(TCPConnector._get)
    assert "self._get(" in inspect.getsource(TCPConnector.connect)


@pytest.mark.parametrize("name", ["protocol", "transport", "close"])
def test_a_connection_has(name: str) -> None:
    assert hasattr(Connection, name)


def test_the_writer_writes_headers_from_its_buffer() -> None:
    assert parameters(StreamWriter.write_headers) == ["self", "status_line", "headers"]
    assert "_headers_buf" in asyncio.run(writer_members())
    assert "self._headers_buf" in inspect.getsource(StreamWriter.write_eof)


@pytest.mark.parametrize(
    "name",
    [
        "_body",
        "_get_content_length",
        "_session",
        "_timer",
        "_writer",
        "chunked",
        "is_ssl",
        "loop",
        "original_url",
        "proxy",
        "request_info",
        "response",
        "response_class",
        "write_bytes",
    ],
)
def test_a_request_has(name: str) -> None:
    assert name in asyncio.run(request_members()) | set(ClientRequest.__annotations__)


def test_a_request_is_sent_by_its_send() -> None:
    assert parameters(ClientRequest.send) == ["self", "conn"]
    assert parameters(ClientRequest.write_bytes) == ["self", "writer", "conn", "content_length"]
    assert parameters(BytesPayload.write) == ["self", "writer"]
    assert parameters(ResponseHandler.start_timeout) == ["self"]


def test_a_response_is_made_of() -> None:
    assert parameters(ClientResponse.__init__) == [
        "self",
        "method",
        "url",
        "writer",
        "continue100",
        "timer",
        "request_info",
        "traces",
        "loop",
        "session",
        "stream_writer",
    ]


@pytest.mark.parametrize("name", ["at_eof", "exception", "is_eof", "read_nowait", "readany"])
def test_the_body_of_a_response_has(name: str) -> None:
    assert hasattr(StreamReader, name)


def test_websockets_asks_process_redirect_about_redirects() -> None:
    assert parameters(connect.process_redirect) == ["self", "exc"]


def test_a_websocket_has_its_transport_and_the_response_to_its_handshake() -> None:
    source = inspect.getsource(ClientConnection) + inspect.getsource(ClientConnection.__mro__[1])
    assert "self.transport" in source
    assert "self.response" in source
