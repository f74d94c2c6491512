"""The commit-msg hook takes what CONTRIBUTING.md asks for, and says what is wrong with the rest."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.ledger import PROJECT

HOOK = PROJECT / ".ci" / "commit-message"


def check(message: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    file = tmp_path / "COMMIT_EDITMSG"
    file.write_text(message)
    return subprocess.run([HOOK, file], capture_output=True, text=True)


@pytest.mark.parametrize(
    "message",
    [
        "recorder: fix a race at its end\n\nThe doorbell was closed too early.\n",
        "Add the MCP server\n\n# Please enter the commit message\n",
        "access, site: read settings in one place",
        "Embed the fonts",
        'Revert "recorder: fix a race at its end, which was none but looked so for long"',
        "a" * 72,
    ],
)
def test_a_good_message_passes(message: str, tmp_path: Path) -> None:
    result = check(message, tmp_path)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        ("", "the subject is empty"),
        ("Fix " + "x" * 69, "the subject has 73 characters; 72 are the most"),
        ("Fix a race.", "the subject ends with a full stop"),
        ("recorder: fixed a race", "begins with 'fixed'"),
        ("Fixing a race", "begins with 'fixing'"),
        ("The recorder ends when it is told to", "begins with 'the'"),
        ("Fix a race\nThe doorbell was closed.", "the second line is not empty"),
    ],
)
def test_a_bad_message_is_refused_in_one_line(message: str, fault: str, tmp_path: Path) -> None:
    result = check(message, tmp_path)
    assert result.returncode == 1
    [line] = result.stderr.splitlines()
    assert fault in line
