"""The steps of the image, run as commands: no Docker engine is needed."""

from __future__ import annotations

import os
import pwd
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from access.request_checks import KEY_HEADER
from tests.support.ledger import PROJECT, Ledger, wait_until
from tests.support.provider import Provider

DOCKERFILE = (PROJECT / "Dockerfile").read_text()
HEALTH = [sys.executable, str(PROJECT / "docker" / "health.py")]
ENTRYPOINT = [sys.executable, str(PROJECT / "docker" / "entrypoint.py")]
USER = "nobody"


def copied() -> list[str]:
    return [
        source
        for line in re.findall(r"^COPY (.+)$", DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    ]


def test_all_that_is_needed_is_copied() -> None:
    packages = {path.parent.name for path in PROJECT.glob("*/__init__.py")} - {
        "tests",
        "benchmarks",
    }
    assert packages | {"templates", "static"} <= set(copied())
    assert all((PROJECT / source).exists() for source in copied())


def test_the_image_runs_what_the_readme_runs() -> None:
    assert 'ENTRYPOINT ["python", "docker/entrypoint.py"]' in DOCKERFILE
    assert 'CMD ["python", "manage.py", "runproxy"]' in DOCKERFILE
    assert "EXPOSE 8000" in DOCKERFILE


def test_it_starts_from_what_is_copied_alone(
    provider: Provider, tmp_path: Path, fresh: Ledger
) -> None:
    image = tmp_path / "image"
    image.mkdir()
    files = subprocess.run(["git", "ls-files", *copied()], cwd=PROJECT, capture_output=True)
    for name in files.stdout.decode().split():
        (image / name).parent.mkdir(parents=True, exist_ok=True)
        (image / name).write_bytes((PROJECT / name).read_bytes())
    environment = {**fresh.environment(), "PYTHONPATH": ""}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "runproxy"], cwd=image, env=environment, stdout=log
        )
    found = wait_until(
        lambda: re.search(r"Dashboard +(\S+)/", (tmp_path / "log").read_text()), deadline_s=30
    )
    assert httpx.get(f"{found[1]}/health").status_code == 200
    process.terminate()
    assert process.wait(30) == 0


def image_environment() -> dict[str, str]:
    """The variables that the image sets, apart from its paths."""
    lines = re.findall(r"^ENV (.+)$", DOCKERFILE, re.MULTILINE)
    values = dict(entry.split("=", 1) for line in lines for entry in line.split())
    return {name: value for name, value in values.items() if "/data" not in value}


def test_in_the_image_the_printed_link_signs_in_and_loopback_alone_does_not(
    fresh: Ledger,
) -> None:
    """The first commands of the README: `docker run`, a look at the dashboard, a call."""
    fresh.env |= image_environment()
    with fresh:
        said = fresh.log.read_text()
        [link] = re.findall(r"Sign in +(\S+)", said)
        assert f"stored in {fresh.folder}/agentledger-api-key" in said
        browser = {"accept": "text/html"}
        refused = httpx.get(fresh.url, headers=browser)
        assert (refused.status_code, "wrote a link" in refused.text) == (401, True)
        assert fresh.get("/api/sessions").status_code == 401
        with httpx.Client(headers=browser, follow_redirects=True) as client:
            page = client.get(link)
            assert (page.status_code, page.url.query) == (200, b"")
        assert fresh.post().status_code == 200
        key = (fresh.folder / "agentledger-api-key").read_text().strip()
        assert fresh.get("/api/sessions", headers={KEY_HEADER: key}).status_code == 200


# --- health ---


def health(port: str) -> int:
    environment = {**os.environ, "AGENTLEDGER_PORT": port}
    return subprocess.run(HEALTH, env=environment, timeout=30).returncode


def test_health_asks_the_server(ledger: Ledger) -> None:
    assert health(ledger.url.rsplit(":", 1)[1]) == 0


def test_health_of_nothing_is_bad(provider: Provider) -> None:
    assert health("1") == 1
    provider.response(["hang"])
    assert health(str(provider.port)) == 1


# --- the entry point ---


@pytest.fixture
def data() -> Iterator[Path]:
    """Where the container's volume is; others may go there, unlike to pytest's own folders."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder) / "data"


def run_entrypoint(data: Path, script: str, **environment: str) -> list[str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("AGENTLEDGER_")}
    own = {"AGENTLEDGER_CONTAINER_USER": USER, "AGENTLEDGER_CONTAINER_DATA": str(data)}
    said = subprocess.run(
        [*ENTRYPOINT, "sh", "-c", script],
        env={**inherited, **own, **environment},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert said.returncode == 0, said.stderr
    return said.stdout.split()


as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can drop privileges")


@as_root
def test_a_new_folder_of_root_gets_the_container_user(data: Path) -> None:
    (data / "spool").mkdir(parents=True)
    (data / "spool" / "old").touch()
    user = pwd.getpwnam(USER)
    said = run_entrypoint(data, f"id -u; id -g; touch {data}/new")
    assert said == [str(user.pw_uid), str(user.pw_gid)]
    owners = {path.stat().st_uid for path in (data, *data.rglob("*"))}
    assert owners == {user.pw_uid}


@as_root
def test_a_folder_that_is_not_there_is_made(data: Path) -> None:
    run_entrypoint(data, f"touch {data}/new")
    assert (data / "new").exists()


def test_no_address_may_read_unless_the_operator_says_so(data: Path) -> None:
    script = 'echo "$AGENTLEDGER_TRUSTED_NETWORKS"'
    assert run_entrypoint(data, script) == []
    given = {"AGENTLEDGER_TRUSTED_NETWORKS": "10.0.0.0/8"}
    assert run_entrypoint(data, script, **given) == ["10.0.0.0/8"]


def test_names_of_its_own_do_not_reach_the_command(data: Path) -> None:
    assert run_entrypoint(data, "env | grep AGENTLEDGER_CONTAINER || echo none") == ["none"]
