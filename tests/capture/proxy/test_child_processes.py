"""The proxy's child processes leave the CPU to it, and hear no Ctrl-C."""

from __future__ import annotations

import os

import psutil
import pytest

from tests.support.ledger import Ledger, wait_until


@pytest.mark.parametrize(("name", "niceness"), [("recorder", 10), ("sinks", 15)])
def test_a_child_is_nicer_than_the_proxy(stack: Ledger, name: str, niceness: int) -> None:
    assert stack.process is not None
    proxy = psutil.Process(stack.process.pid)
    child: psutil.Process = getattr(stack, name)()
    wait_until(lambda: child.nice() == min(19, proxy.nice() + niceness))
    # Linux compares the niceness of processes of one session only.
    assert os.getsid(child.pid) == os.getsid(proxy.pid)
    assert os.getpgid(child.pid) != os.getpgid(proxy.pid)
