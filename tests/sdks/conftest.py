"""The fixture of an SDK's calls, which are made once for all tests of a module, over one proxy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sdks.both_ways import BothWays, run
from tests.support.ledger import Ledger
from tests.support.provider import Provider


@pytest.fixture(scope="module")
def ways(request: pytest.FixtureRequest, ledger: Ledger, _provider: Provider) -> Iterator[BothWays]:
    module = request.module
    yield run(module.CALLS, module.CASES, ledger, _provider)
    _provider.reset()
