"""The documents agree with the code."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import django
import httpx
import pytest
from django.urls import URLResolver, get_resolver

from agentledger_site import conf
from agentledger_site.owned_paths import is_owned
from agentledger_site.variables import PREFIX, variables
from capture.proxy.recorded_headers import LEDGER_FIELDS, LEDGER_PREFIX, MAX_FIELD
from tests.support.ledger import PROJECT, Ledger
from tests.support.provider import Provider

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentledger_site.settings")
django.setup()

README = (PROJECT / "README.md").read_text()
FIELDS = (PROJECT / "docs" / "fields.md").read_text()
DOCUMENTS = [*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")]


def section(text: str, heading: str) -> str:
    return text.split(f"{heading}\n", 1)[1].split("\n#")[0]


def rows(text: str) -> list[list[str]]:
    """The cells of a table's rows, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) > 2, f"no table in {text[:40]!r}"
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def names(cell: str) -> list[str]:
    return re.findall(r"`([a-z0-9_]+)`", cell)


def test_the_variables() -> None:
    expected = [
        [
            f"`{PREFIX}{field.metadata['name']}`",
            f"`{field.metadata['default']}`" if field.metadata["default"] else "none",
            field.metadata["doc"],
        ]
        for field in variables()
    ]
    assert rows(section(README, "## Variables")) == expected


def test_the_request_headers() -> None:
    table = rows(section(README, "## Request headers"))
    assert [row[0].strip("`") for row in table] == [LEDGER_PREFIX + n for n in LEDGER_FIELDS]
    assert f"up to {MAX_FIELD} characters" in README


def test_the_fields(ledger: Ledger, provider: Provider) -> None:
    body = {"model": "m", "messages": []}
    headers = {"x-agentledger-session-id": "s"}
    httpx.post(f"{ledger.url}/v1/chat/completions", json=body, headers=headers)
    given = set(ledger.call("s"))
    documented = [
        name for row in rows(section(FIELDS, "# The fields of a call")) for name in names(row[0])
    ]
    assert sorted(documented) == sorted(given)
    recorded = section(README, "## What is recorded")
    in_table = {name for row in rows(recorded) for name in names(row[0])}
    beside = recorded.split("The other fields:")[1].split("[docs/fields.md]")[0]
    assert in_table | set(names(beside)) == given
    [session] = ledger.sessions()
    of_session = (
        section(FIELDS, "# The fields of a session").split("has these fields:")[1].split(". ")[0]
    )
    assert names(of_session) == list(session)


# What pages fetch for themselves.
PARTS_OF_PAGES = {
    "/dashboard/calls/facets",
    "/dashboard/calls/{action_id}/peek",
    "/dashboard/calls/{action_id}/thumbnails/{digest}",
    "/dashboard/flow/calls/",
    "/dashboard/search/count",
}


def list_routes(resolver: URLResolver, prefix: str = "") -> Iterator[str]:
    """Yields each route once: not those inside the admin, nor redirects to another's address."""
    for entry in resolver.url_patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver) and route != "admin/":
            yield from list_routes(entry, route)
        elif not route.startswith("^"):
            yield route


def test_the_endpoints() -> None:
    documented = {row[1].strip("`") for row in rows(section(README, "## Endpoints"))}
    routes = list_routes(get_resolver("agentledger_site.urls"))
    served = {"/" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route) for route in routes}
    assert served > PARTS_OF_PAGES
    assert documented == served - PARTS_OF_PAGES
    assert {path for path in documented if is_owned(path)} == documented


def test_the_version() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert project["version"] == conf.VERSION


def test_every_link_to_a_file_leads_somewhere() -> None:
    links = [
        (document, target)
        for document in DOCUMENTS
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text())
    ]
    assert len(links) > 50 and len({document for document, _ in links}) > 10
    broken = [f"{d.name}: {target}" for d, target in links if not (d.parent / target).exists()]
    assert broken == []


def test_the_map_of_folders_is_complete() -> None:
    """`docs/architecture.md` names every package, and no folder that does not exist."""
    text = section((PROJECT / "docs" / "architecture.md").read_text(), "## Find your way")
    named = {name for row in rows(text) for name in re.findall(r"`([a-z_/]+)/`", row[0])}
    assert [name for name in named if not (PROJECT / name).is_dir()] == []
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout.split()
    tops = {path.split("/")[0] for path in tracked if "/" in path and not path.startswith(".")}
    packages = {
        str(Path(path).parent)
        for path in tracked
        if path.endswith("/__init__.py") and not path.startswith(("tests/", "benchmarks/"))
    }
    inner = {name for name in packages if name.endswith(("/migrations", "/commands"))}
    assert named == (tops | packages) - inner


EXAMPLES = re.findall(r"```python\n(.*?)```", section(README, "## Point an agent at it"), re.DOTALL)
assert EXAMPLES  # otherwise the test below would be skipped


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_the_examples_run(fresh: Ledger, provider: Provider, tmp_path: Path, number: int) -> None:
    with fresh:
        example = EXAMPLES[number].replace("http://localhost:8000", fresh.url)
        example = example.replace("…", "")  # keys are sent in headers, which are ASCII
        subprocess.run([sys.executable, "-c", example], cwd=tmp_path, check=True)
        call = fresh.call("run-1")
    assert call["outcome"] == "completed"
    assert call["content"] == "echo: Hello"


def test_each_promise_names_a_test_that_shows_it() -> None:
    table = rows((PROJECT / "docs" / "reliability.md").read_text())
    faults = [row for row in table if row[0] not in ("Fault", "---")]
    named = [re.findall(r"`(test_[a-z_0-9]+)`", row[-1]) for row in faults]
    assert all(named)
    written = {
        name
        for path in (PROJECT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    assert len(named) > 30
    assert {name for tests in named for name in tests} - written == set()
