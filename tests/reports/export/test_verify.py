"""verify.py: what is unaltered is verified, and whatever was altered is found and named."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import rfc8785
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capture.evidence.tree import leaf_hash, verify_inclusion
from reports.export import verify
from reports.export.verify import Wrong, verify_file
from tests.conftest import running_on
from tests.support import canned
from tests.support.ledger import Ledger, wait_until
from tests.support.provider import Provider

HEADERS = {
    "x-agentledger-session-id": "run/1",
    "x-agentledger-agent-name": "researcher",
    "x-agentledger-user-id": "user-42",
    "x-agentledger-handoff-from": "planner",
}
QUESTION = "What is the weather in Zürich? 🌦 \\ud800 " + "x" * 100
N_CALLS = 5


def record_session(ledger: Ledger, provider: Provider) -> None:
    """Calls of a history that grows, with tools, odd numbers and texts, an error and a deletion."""
    history: list[Any] = []
    for number in range(N_CALLS):
        arguments = f'{{"n": {number}.0, "large": {2**60}}}'
        tool_call = {"id": f"t{number}", "function": {"name": "f", "arguments": arguments}}
        body = canned.chat(f"answer {number} ❄", tool_calls=[tool_call])
        provider.response(*canned.as_json(body, status=400 if number == 3 else 200))
        history.append({"role": "user", "content": f"{number} {QUESTION}", "n": 2**70})
        text = json.dumps(
            {
                "model": "gpt-4o",
                "temperature": 0.7,
                "messages": history,
                "tools": [{"type": "function", "function": {"name": "f"}}],
            }
        ).replace("\\\\ud800", "\\ud800")
        httpx.post(f"{ledger.url}/v1/chat/completions", content=text, headers=HEADERS)
        history.append({"role": "assistant", "content": f"answer {number} \x00"})


class Files(dict[str, bytes]):
    def __repr__(self) -> str:  # Hypothesis writes it for each example
        return "the exports"


@pytest.fixture(scope="module", params=["daphne-sqlite", "daphne-postgresql"])
def exported(request: pytest.FixtureRequest, _provider: Provider) -> dict[str, bytes]:
    """An export of each kind, and what else was read of its ledger."""
    with running_on(request.param, request) as ledger:
        record_session(ledger, _provider)
        _provider.reset()
        calls = ledger.calls("run/1", count=N_CALLS)
        ledger.post("other")
        httpx.delete(f"{ledger.url}/api/calls/{calls[1]['action_id']}").raise_for_status()
        path = f"/export/{quote('run/1', safe='')}"

        def with_deletion() -> bytes | None:
            content = ledger.get(path).content
            return content if json.loads(content)["evidence"]["entries"] else None

        document: bytes = wait_until(with_deletion)
        bundle = ledger.get(f"{path}?format=bundle").content
        key = ledger.get("/api/log/key").text
        again = ledger.command("export_session", "run/1", "--checkpoint", size_of(document))
        return Files(
            json=document,
            bundle=bundle,
            key=key.encode(),
            again=again.stdout.encode(),
            verifier=ledger.get("/api/verify.py").content,
        )


def size_of(document: bytes) -> str:
    note: str = json.loads(document)["evidence"]["checkpoint"]
    return note.split("\n")[1]


def check(data: bytes, tmp_path: Path, *keys: str) -> list[str]:
    file = tmp_path / "export"
    file.write_bytes(data)
    return verify_file(str(file), keys)


def test_what_is_unaltered_is_verified(exported: dict[str, bytes], tmp_path: Path) -> None:
    document = json.loads(exported["json"])
    assert len(document["calls"]) == N_CALLS - 1
    digest = hashlib.sha256(rfc8785.dumps(document["calls"])).hexdigest()
    assert document["sha256"] == digest
    for kind in ("json", "bundle", "again"):
        lines = check(exported[kind], tmp_path)
        assert lines[0] == "4 calls of the session 'run/1', unaltered and complete"
        assert "0 calls corrected, 1 deletions, 1 calls deleted or replaced" in lines
        assert not [line for line in lines if "NOT PROVEN" in line]
        assert any(line.startswith("Only the key inside the file was used") for line in lines)
    indented = json.dumps(document, indent=1, ensure_ascii=False).encode()
    assert check(indented, tmp_path)[0].startswith("4 calls")


def test_the_same_checkpoint_gives_the_same_bytes(exported: dict[str, bytes]) -> None:
    first, second = json.loads(exported["json"]), json.loads(exported["again"])
    moments = first["exported_at"], second["exported_at"]
    one, other = (
        exported[kind].replace(at.encode(), b"", 1)
        for kind, at in zip(("json", "again"), moments, strict=True)
    )
    assert one == other


def test_a_bundle_has_what_verifies_it(exported: dict[str, bytes], tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(exported["bundle"])) as bundle:
        assert bundle.testzip() is None
        files = {name: bundle.read(name) for name in bundle.namelist()}
    document = json.loads(files["export.json"])
    assert files["verify.py"] == exported["verifier"] == Path(verify.__file__).read_bytes()
    assert files["checkpoint"].decode() == document["evidence"]["checkpoint"]
    assert len(files["README.txt"].splitlines()) <= 12
    assert b"<html" in files["report.html"]
    assert files["report.pdf"].startswith(b"%PDF-")
    leaves = [name for name in files if name.endswith(".leaf")]
    assert len(leaves) == N_CALLS - 1
    for name in leaves:
        proof = files[name.replace(".leaf", ".tlog-proof")].decode()
        head, _, note = proof.partition("\n\n")
        _, index, *hashes = head.split("\n")
        checkpoint = verify.Checkpoint.parse(verify.Note.parse(note, "it").text)
        assert verify_inclusion(
            leaf_hash(files[name]),
            int(index.removeprefix("index ")),
            checkpoint.size,
            [verify._base64(one, "it") for one in hashes],
            checkpoint.root,
        )


@pytest.mark.parametrize("version", ["3.11", "3.13"])
def test_a_bare_python_runs_the_program(
    exported: dict[str, bytes], tmp_path: Path, version: str
) -> None:
    python = find_python(version)
    if python is None:
        pytest.skip(f"Python {version} is not installed")
    subprocess.run([python, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    (tmp_path / "verify.py").write_bytes(exported["verifier"])
    for kind in ("json", "bundle"):
        (tmp_path / kind).write_bytes(exported[kind])
    altered = exported["json"].replace(b'"tokens_in":', b'"tokens_in":1', 1)
    (tmp_path / "altered").write_bytes(altered)
    command = [str(tmp_path / "bare/bin/python"), "-I", "verify.py"]
    for name, status in (("json", 0), ("bundle", 0), ("altered", 1)):
        found = subprocess.run([*command, name], cwd=tmp_path, capture_output=True, text=True)
        assert found.returncode == status, found.stderr
        assert found.stdout.startswith("VERIFIED") == (status == 0)
        assert found.stderr.startswith("NOT VERIFIED: call 0: its tokens_in is") == (status == 1)


def find_python(version: str) -> str | None:
    """Returns an interpreter that runs: pyenv's names of versions that are not chosen do not."""
    folders = sorted(Path("~/.pyenv/versions").expanduser().glob(f"{version}.*/bin"))
    path = os.pathsep.join([*map(str, folders), os.environ["PATH"]])
    return shutil.which(f"python{version}", path=path)


def test_another_key_is_not_accepted(exported: dict[str, bytes], tmp_path: Path) -> None:
    known = json.loads(exported["json"])["evidence"]["verifier_key"]
    assert check(exported["json"], tmp_path, known)[-1] == "The key is the one that you gave."
    stranger = verify.Key("stranger", verify.NOTE_KEY, bytes(32))
    encoded = base64.b64encode(bytes([1]) + bytes(32)).decode()
    with pytest.raises(Wrong, match="somebody else signed it"):
        check(exported["json"], tmp_path, f"stranger+{stranger.id.hex()}+{encoded}")


Forge = Callable[[dict[str, Any]], None]


def forged_texts(document: dict[str, Any]) -> None:
    document["calls"][0]["content"] = "forged"


def forged_tool_call(document: dict[str, Any]) -> None:
    document["calls"][0]["tool_calls"][0]["arguments"]["n"] = 7


def forged_message(document: dict[str, Any]) -> None:
    document["calls"][2]["messages"][0]["content"] = "forged"


def forged_role(document: dict[str, Any]) -> None:
    document["calls"][2]["messages"][1]["role"] = "user"


def removed_message(document: dict[str, Any]) -> None:
    del document["calls"][2]["messages"][1]


def removed_call(document: dict[str, Any]) -> None:
    del document["calls"][1], document["evidence"]["calls"][1]


def removed_last_call(document: dict[str, Any]) -> None:
    del document["calls"][-1], document["evidence"]["calls"][-1]
    document["session"]["call_count"] -= 1


def removed_deletion(document: dict[str, Any]) -> None:
    document["evidence"]["entries"].clear()


def doubled_call(document: dict[str, Any]) -> None:
    document["calls"].insert(0, document["calls"][0])
    document["evidence"]["calls"].insert(0, document["evidence"]["calls"][0])


def swapped_evidence(document: dict[str, Any]) -> None:
    calls = document["evidence"]["calls"]
    calls[0]["leaf"], calls[1]["leaf"] = calls[1]["leaf"], calls[0]["leaf"]


def forged_total(document: dict[str, Any]) -> None:
    document["session"]["total_tokens_in"] += 1


def hidden_request(document: dict[str, Any]) -> None:
    document["calls"][3]["tools"] = None
    document["evidence"]["calls"][3]["request"] = None


def field(name: str, value: Any) -> Forge:
    def forge(document: dict[str, Any]) -> None:
        document["calls"][0][name] = value

    return forge


FORGERIES: tuple[tuple[Forge, str], ...] = (
    (field("tokens_in", 1), "call 0: its tokens_in is 1, and"),
    (field("cost_usd", 0.0), "call 0: its cost_usd is 0"),
    (field("model_id", "gpt-5"), "call 0: its model_id is 'gpt-5'"),
    (field("timestamp", "2026-01-01T00:00:00+00:00"), "call 0: its timestamp is"),
    (field("latency_ms", 1.5), "call 0: its latency_ms is"),
    (field("agent_name", "other"), "call 0: its agent_name are not what"),
    (field("user_id", None), "call 0: its user_id or the salt of it is missing"),
    (field("error_detail", "x"), "call 0: its error_detail is there, and none in the log"),
    (field("request_sha256", "0" * 64), "call 0: its request are not what"),
    (field("notes", ["forged"]), "the session's facts, or its calls, are not those"),
    (forged_texts, "call 0: its content, reasoning or tool calls are not what"),
    (forged_tool_call, "call 0: the arguments of a tool call are not those"),
    (forged_message, "call 2: its messages are not those of the request"),
    (forged_role, "call 2: its messages are not those of the request"),
    (removed_message, "call 2: its messages are not those of the request"),
    (removed_call, "the session's calls from number 2 to 3 are missing"),
    (removed_last_call, "calls were removed at the end"),
    (removed_deletion, "the session's calls from number 2 to 2 are missing"),
    (doubled_call, "two calls have the number 1"),
    (swapped_evidence, "call 0: its record or its proof was altered"),
    (forged_total, "the session's facts, or its calls, are not those"),
    (hidden_request, "the session's facts, or its calls, are not those"),
)


@pytest.mark.parametrize("number", range(len(FORGERIES)))
def test_what_was_forged_is_named_although_its_digest_was_made_anew(
    exported: dict[str, bytes], tmp_path: Path, number: int
) -> None:
    forge, reason = FORGERIES[number]
    document = json.loads(exported["json"])
    forge(document)
    document["sha256"] = hashlib.sha256(rfc8785.dumps(document["calls"])).hexdigest()
    with pytest.raises(Wrong) as wrong:
        check(json.dumps(document, ensure_ascii=False).encode(), tmp_path)
    assert reason in str(wrong.value)


# What nobody signs: when and by which program the file was written.
UNSIGNED = ("exported_at", "generator")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_bit_that_changes_is_found(
    exported: dict[str, bytes], tmp_path: Path, data: st.DataObject
) -> None:
    document = exported["json"]
    begin = document.index(b'"session":')
    bit = data.draw(st.integers(8 * begin, 8 * len(document.rstrip()) - 1))
    altered = bytearray(document)
    altered[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Wrong):
        check(bytes(altered), tmp_path)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_bit_that_changes_in_a_bundles_files_is_found(
    exported: dict[str, bytes], tmp_path: Path, data: st.DataObject
) -> None:
    with zipfile.ZipFile(io.BytesIO(exported["bundle"])) as bundle:
        files = {name: bundle.read(name) for name in bundle.namelist()}
    names = [n for n in files if n.startswith("calls/") or n in ("checkpoint", "log.vkey")]
    name = data.draw(st.sampled_from(names))
    bit = data.draw(st.integers(0, 8 * len(files[name]) - 1))
    altered = bytearray(files[name])
    altered[bit // 8] ^= 1 << bit % 8
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as made:
        for one, content in {**files, name: bytes(altered)}.items():
            made.writestr(one, content)
    with pytest.raises(Wrong, match=name.split("/")[-1]):
        check(packed.getvalue(), tmp_path)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.floats(0, 1), junk=st.binary(max_size=20))
def test_what_is_cut_or_no_export_is_refused(
    exported: dict[str, bytes], tmp_path: Path, cut: float, junk: bytes
) -> None:
    for kind in ("json", "bundle"):
        most = len(exported[kind]) - 100
        with pytest.raises(Wrong):
            check(exported[kind][: int(most * cut)] + junk, tmp_path)


def test_hostile_files_end_with_a_reason(tmp_path: Path) -> None:
    deep = b"[" * 2_000_000
    for data in (b"", b"{}", b"null", b'{"format":' + deep, deep, b"PK\3\4", b"\xff" * 100):
        with pytest.raises(Wrong):
            check(data, tmp_path)
    document = {"format": verify.FORMAT, "evidence": {}}
    with pytest.raises(Wrong, match="'generator': it was removed"):
        check(json.dumps(document).encode(), tmp_path)
