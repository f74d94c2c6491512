"""The members of Daphne, Twisted and autobahn that are no documented interface and that the server
uses or replaces. An upgrade that renames one fails here, and says which."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import daphne.server
import pytest
from autobahn.websocket.protocol import WebSocketProtocol as AutobahnProtocol
from daphne import http_protocol, ws_protocol
from twisted.internet import abstract, tcp
from twisted.web.http import HTTPChannel, Request


def parameters(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)


# --- Daphne's server ---


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("create_application", ["self", "protocol", "scope"]),
        ("handle_reply", ["self", "protocol", "message"]),
        ("kill_all_applications", ["self"]),
        ("listen_error", ["self", "failure"]),
        ("listen_success", ["self", "port"]),
        ("protocol_disconnected", ["self", "protocol"]),
        ("stop", ["self"]),
    ],
)
def test_the_server_has(name: str, expected: list[str]) -> None:
    assert parameters(getattr(daphne.server.Server, name)) == expected


@pytest.mark.parametrize(
    "use",
    [
        "self.connections = {}",
        "self.http_factory = HTTPFactory(self)",
        "self.ws_factory = WebSocketFactory(self",
        "listener.addCallback(self.listen_success)",
        "listener.addErrback(self.listen_error)",
        '"shutdown", self.kill_all_applications',
    ],
)
def test_the_server_runs_by(use: str) -> None:
    assert use in inspect.getsource(daphne.server.Server.run)


@pytest.mark.parametrize("key", ["application_instance", "disconnected"])
def test_the_server_keeps_of_each_connection_its(key: str) -> None:
    assert f'details.get("{key}", None)' in inspect.getsource(
        daphne.server.Server.application_checker
    )


def test_the_reactor_runs_on_the_servers_loop() -> None:
    assert daphne.server.reactor._asyncioEventloop is daphne.server.twisted_loop


# --- HTTP ---


def test_headers_are_checked_for_invalid_bytes() -> None:
    assert "INVALID_HEADER_VALUE_BYTES" in vars(http_protocol)
    process = inspect.getsource(http_protocol.WebRequest.process)
    assert "INVALID_HEADER_VALUE_BYTES.intersection(value)" in process


def test_a_request_remembers_that_its_response_has_begun() -> None:
    assert "self._response_started = False" in inspect.getsource(http_protocol.WebRequest.__init__)
    assert len(parameters(http_protocol.WebRequest.basic_error)) == 4


def test_a_request_hands_its_server_the_body_and_the_websocket() -> None:
    process = inspect.getsource(http_protocol.WebRequest.process)
    assert "self.server.ws_factory.buildProtocol(" in process
    assert "protocol.makeConnection(transport)" in process
    assert "self.server.create_application," in process
    assert "self.content.read()" in process


def test_a_request_makes_its_content_when_it_gets_the_length() -> None:
    assert parameters(Request.gotLength) == ["self", "length"]
    assert "self.content = " in inspect.getsource(Request.gotLength)
    assert "parsePOSTFormSubmission" in parameters(Request.__init__)


@pytest.mark.parametrize(
    "name",
    ["MAX_LENGTH", "pauseProducing", "requestFactory", "resumeProducing", "totalHeadersSize"],
)
def test_a_channel_has(name: str) -> None:
    assert hasattr(HTTPChannel, name)


def test_the_factory_sets_the_class_of_requests_on_the_channel() -> None:
    source = inspect.getsource(http_protocol.HTTPFactory.buildProtocol)
    assert ".requestFactory = WebRequest" in source


# --- TCP ---


def test_a_connection_buffers_what_it_sends() -> None:
    source = inspect.getsource(abstract.FileDescriptor.doWrite)
    for name in ("dataBuffer", "_tempDataLen", "SEND_LIMIT", "disconnecting"):
        assert f"self.{name}" in source


@pytest.mark.parametrize("name", ["connected", "doWrite", "startWriting"])
def test_a_connection_has(name: str) -> None:
    assert hasattr(tcp.Server, name)


def test_a_port_makes_connections_of_its_transport() -> None:
    assert tcp.Port.transport is tcp.Server
    assert "self.transport(" in inspect.getsource(tcp.Port.doRead)


# --- WebSockets ---


def test_a_websocket_waits_for_its_handshake() -> None:
    protocol = ws_protocol.WebSocketProtocol
    assert "self.handshake_deferred = defer.Deferred()" in inspect.getsource(protocol.onConnect)
    assert "self.application_queue = " in inspect.getsource(protocol.applicationCreateWorked)
    assert "self.last_ping" in inspect.getsource(protocol.check_timeouts)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("handle_reply", ["self", "message"]),
        ("makeConnection", ["self", "transport"]),
        ("onClose", ["self", "wasClean", "code", "reason"]),
        ("onMessage", ["self", "payload", "isBinary"]),
        ("serverReject", ["self"]),
    ],
)
def test_a_websocket_has(name: str, expected: list[str]) -> None:
    assert parameters(getattr(ws_protocol.WebSocketProtocol, name)) == expected


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("dropConnection", ["abort"]),
        ("sendCloseFrame", ["code", "reasonUtf8"]),
        ("sendData", ["data"]),
        ("sendMessage", ["payload", "isBinary"]),
    ],
)
def test_autobahns_protocol_takes(name: str, needed: list[str]) -> None:
    assert set(needed) <= set(parameters(getattr(AutobahnProtocol, name)))


@pytest.mark.parametrize("name", ["STATE_CONNECTING", "STATE_OPEN"])
def test_autobahns_protocol_has_the_state(name: str) -> None:
    assert hasattr(AutobahnProtocol, name)


def test_the_factory_of_websockets_takes_any_size() -> None:
    options = parameters(ws_protocol.WebSocketFactory.setProtocolOptions)
    assert {"maxMessagePayloadSize", "maxFramePayloadSize"} <= set(options)
