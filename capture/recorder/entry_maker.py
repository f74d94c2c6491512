"""Makes entries of exchanges: parses them within limits, prices them, makes thumbnails."""

from __future__ import annotations

from contextlib import suppress

from django.conf import settings

from capture.exchange import Exchange
from capture.ledger.entry import Entry
from capture.parsing.guard import ResourceGuard, Stopped
from capture.parsing.parse import parse_call
from capture.parsing.parsed_call import ParsedCall
from capture.parsing.raw_facts import parse_raw_facts
from capture.parsing.thumbnails import Thumbnail, Thumbnails
from capture.pricing.call_cost import cost_of_call
from capture.wire.formats import batch_results
from capture.wire.limits import MAX_CPU_S, MAX_RESULTS_CPU_S, MB, MEMORY_PER_BYTE, Limits

# What the process takes without any call, and what one call into C may take before it can be
# stopped, are below the rest of the 400 MB that are promised.
BASE_MEMORY = 250 * MB
# Calls that take long may take so much CPU in one batch; what comes after them gets less. A call of
# 1 MB takes 10 ms.
SLOW_CPU_S = 0.02
BATCH_CPU_S = 4.0
LEAST_CPU_S = 0.05
LEAST_CPU_S_PER_MB = 0.1
# A part in memory, beside its bytes.
PART_BYTES = 600


class EntryMaker:
    def __init__(self) -> None:
        config = settings.AGENTLEDGER
        self.limits = Limits.of_mb(config.max_decoded_mb)
        self._keep_binaries: bool = config.capture_binary
        self._guard = ResourceGuard(BASE_MEMORY + MEMORY_PER_BYTE * self.limits.max_decoded)
        self._thumbnails = Thumbnails()
        self._cpu_left_s = BATCH_CPU_S
        self._read_prices()

    def begin_batch(self) -> None:
        self._cpu_left_s = BATCH_CPU_S
        if settings.AGENTLEDGER.price_sources.published_version() != self._prices_version:
            self._read_prices()

    def make(self, exchange: Exchange, n_spooled: int) -> Entry:
        """`n_spooled` is the size of the call in the spool."""
        least = LEAST_CPU_S + LEAST_CPU_S_PER_MB * n_spooled / MB
        self._guard.begin_call(min(_most_cpu_s(exchange), max(least, self._cpu_left_s)))
        call = parse_call(
            exchange, keep_binaries=self._keep_binaries, limits=self.limits, guard=self._guard
        )
        # Outside the transaction: a large image takes its time.
        thumbnails = self._make_thumbnails(call) if call.binaries else {}
        self._cpu_left_s -= max(self._guard.took_s - SLOW_CPU_S, 0)
        cost = cost_of_call(self._prices, call)
        return Entry(call, cost, thumbnails, self._prices if call.is_fetch else None)

    def make_raw(self, exchange: Exchange, note: str) -> Entry:
        """Returns an entry of raw facts only."""
        call = parse_raw_facts(exchange, note)
        return Entry(call, cost_of_call(self._prices, call))

    def _make_thumbnails(self, call: ParsedCall) -> dict[bytes, Thumbnail]:
        found: dict[bytes, Thumbnail] = {}
        with suppress(Stopped), self._guard():
            self._thumbnails.make(call.binaries.values(), found)
        return found

    def _read_prices(self) -> None:
        self._prices_version = settings.AGENTLEDGER.price_sources.published_version()
        self._prices = settings.AGENTLEDGER.price_sources.read()


def _most_cpu_s(exchange: Exchange) -> float:
    request = exchange.request
    has_results = request is not None and request.wire_format in batch_results.NAMES
    return MAX_RESULTS_CPU_S if has_results else MAX_CPU_S


def size_in_memory(entry: Entry) -> int:
    """Returns about how many bytes an entry takes until it is stored."""
    call = entry.call
    frame = len(call.frame.data) if call.frame else 0
    parts = sum([len(part.data) for part in call.parts]) + PART_BYTES * len(call.parts)
    binaries = sum([len(binary.data) for binary in call.binaries.values()])
    response = len(call.response.data) + 4 * len(call.parsed_response.content or "")
    return frame + parts + binaries + response
