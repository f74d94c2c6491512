"""A clock that a test moves: with this folder on PYTHONPATH, a process's time of day is off by the
seconds that the file named by TEST_CLOCK holds. Durations are not touched."""

import os
import time

_file = os.environ.get("TEST_CLOCK", "")
if _file:
    _time, _time_ns = time.time, time.time_ns

    def _offset_s() -> int:
        with open(_file) as file:
            return int(file.read())

    time.time = lambda: _time() + _offset_s()
    time.time_ns = lambda: _time_ns() + _offset_s() * 1_000_000_000
