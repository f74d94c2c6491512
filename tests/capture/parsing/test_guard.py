"""What takes too long, or too much memory, is stopped wherever it is."""

from __future__ import annotations

import contextlib
import itertools
import time

import pytest

from capture.parsing.guard import ResourceGuard, Stopped

MB = 2**20


def guard(*, cpu_s: float = 0.2, max_memory: int = 1 << 40) -> ResourceGuard:
    made = ResourceGuard(max_memory)
    made.begin_call(cpu_s)
    return made


def test_a_request_is_stopped_after_half_of_the_cpu_time_of_its_call() -> None:
    one = guard()
    began = time.process_time()
    with pytest.raises(Stopped, match=r"more than 0.1 s of CPU time"), one():
        for _ in itertools.count():
            with contextlib.suppress(Exception):  # as a parser may do
                sum(range(100))
    assert 0.05 < time.process_time() - began < 1


def test_a_response_has_what_its_request_left() -> None:
    one = guard(cpu_s=0.4)
    with one():
        pass
    began = time.process_time()
    with pytest.raises(Stopped), one():
        for _ in itertools.count():
            pass
    assert time.process_time() - began > 0.3  # half would be 0.2


def test_one_call_has_no_more_than_its_time_in_all() -> None:
    one = guard()
    began = time.process_time()
    for _ in range(5):
        with contextlib.suppress(Stopped), one():
            for _ in itertools.count():
                pass
    assert time.process_time() - began < 1


def test_what_takes_too_much_memory_is_stopped() -> None:
    held = []
    with pytest.raises(Stopped, match="memory"), guard(cpu_s=20, max_memory=MB)():
        for _ in itertools.count():
            held.append(bytes(100))


def test_nothing_is_stopped_afterwards() -> None:
    with guard(cpu_s=0.04)():
        pass
    end = time.process_time() + 0.2
    while time.process_time() < end:
        pass
