"""Turns of WebSockets are parsed."""

from __future__ import annotations

import pytest

from tests.capture.wire.corpus.exchanges import Exchange
from tests.capture.wire.corpus.live import EXCHANGES


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.name)
def test_a_turn_is_parsed(exchange: Exchange) -> None:
    assert exchange.parse() == exchange.expected_with_first_content()
