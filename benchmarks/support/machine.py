"""Describes the machine and the versions for a table of figures, without names of hosts."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

OUR_PACKAGES = ("django", "daphne", "uvicorn", "aiohttp", "httpx")
THEIR_PACKAGES = ("agentic-ledger", "uvicorn", "fastapi", "httpx2")
N_CORES = 2


def use_two_cores() -> None:
    """Limits this process and all that it starts to the two cores of the design's figures."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[:N_CORES])


def describe_machine() -> list[str]:
    return [
        f"{len(os.sched_getaffinity(0))} of {os.cpu_count()} cores, {_cpu_model()}, "
        f"{_memory_gb():.0f} GB, Linux {platform.release().partition('-')[0]}",
        f"Python {platform.python_version()}, {', '.join(map(_name_and_version, OUR_PACKAGES))}",
    ]


def describe(*, nginx: str, competitor_python: str) -> list[str]:
    lines = describe_machine()
    if competitor_python:
        theirs = subprocess.run(
            [competitor_python, "-c", _VERSIONS, *THEIR_PACKAGES], capture_output=True, text=True
        )
        lines.append(f"The competitor: {theirs.stdout.strip()}")
    tools = [_first_words([nginx, "-v"]), _first_words(["wrk", "-v"])]
    return [*lines, ", ".join(tools)]


_VERSIONS = """
import platform, sys
from importlib.metadata import version
packages = [f"{name} {version(name)}" for name in sys.argv[1:]]
print(", ".join(["Python " + platform.python_version(), *packages]))
"""


def _name_and_version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"no {package}"


def _first_words(command: list[str]) -> str:
    """`nginx version: nginx/1.22.1` → that; `wrk debian/4.1.0-3+b2 [epoll] …` → its first two."""
    finished = subprocess.run(command, capture_output=True, text=True)
    words = (finished.stderr + finished.stdout).replace("nginx version: ", "").split()
    return " ".join(words[:2]) if words[0] == "wrk" else words[0]


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
