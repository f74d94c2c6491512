"""Turns of WebSockets, read."""

from __future__ import annotations

import pytest

from tests.wire.exchanges import Exchange
from tests.wire.live_exchanges import EXCHANGES


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.name)
def test_a_turn_is_understood(exchange: Exchange) -> None:
    assert exchange.parsed() == exchange.expected_with_first_content()
