"""The rules that the code's names, docstrings and folders keep; CONTRIBUTING.md tells why."""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
import tokenize
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import PurePosixPath
from typing import NamedTuple

from tests.support.ledger import PROJECT

PACKAGES = ("access", "agentledger_site", "benchmarks", "capture", "mcp", "reports", "tests")
PRODUCT = ("access", "agentledger_site", "capture", "mcp", "reports")
MOST_MODULES = 22  # in one folder
FUNCTION_LINES = 40

# A docstring that opens with one of these is a clause or a phrase: a sentence only if a verb comes
# after it. Those of the first row begin clauses that have a verb of their own.
CLAUSE_OPENINGS = frozenset("what whether how who whom whose which than because to".split())
PHRASE_OPENINGS = frozenset(
    "of where when that those these all its it's their if for with without as by from in on at"
    " so such".split()
)
VERB = re.compile(
    r"\b(?:is|are|was|were|has|have|had|does|do|did|can|could|may|might|must|will|would|shall|should"
    r"|returns?|holds?|keeps?|takes?|gives?|makes?|comes?|goes|go|stays?|needs?|counts?|costs?|adds?"
    r"|reads?|writes?|ends?|begins?|starts?|stops?|uses?|sends?|gets?|says?|raises?|waits?|follows?"
    r"|becomes?|remains?|belongs?|passes|lies|stands?)\b"
)

# Participles that are nouns or verbs of the field.
NOT_PARTICIPLES = frozenset("seed speed feed embed need hundred bed red".split())
PARTICIPLES = frozenset(
    "told said kept known found sent given taken made held lost gone seen shown written begun"
    " broken chosen drawn done driven grown heard hidden laid left meant met paid understood torn"
    " thrown worn brought bought built caught cut dealt felt fought spent".split()
)


class Module(NamedTuple):
    path: str
    tree: ast.Module
    text: str


@cache
def modules() -> tuple[Module, ...]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "--", *(f"{p}/*.py" for p in PACKAGES)],
        cwd=PROJECT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = []
    for path in sorted(set(listed.stdout.split())):
        if "/migrations/" not in path and (PROJECT / path).exists():
            text = (PROJECT / path).read_text()
            found.append(Module(path, ast.parse(text), text))
    assert len(found) > 400  # otherwise there is little that could break a rule
    return tuple(found)


def product() -> list[Module]:
    return [module for module in modules() if module.path.startswith(PRODUCT)]


def functions(module: Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_no_folder_is_crowded() -> None:
    crowds = Counter(
        str(PurePosixPath(module.path).parent)
        for module in modules()
        if not module.path.endswith("__init__.py")
    )
    assert {folder: n for folder, n in crowds.items() if n > MOST_MODULES} == {}


# It is copied to where nothing of ours is.
ALONE = {"reports/export/verify.py"}


def test_modules_are_short() -> None:
    lengths = sorted(
        module.text.count("\n")
        for module in product()
        if module.text.strip() and module.path not in ALONE
    )
    assert statistics.median(lengths) <= 100
    assert lengths[len(lengths) * 9 // 10] <= 250
    assert lengths[-1] <= 500


def test_functions_are_short() -> None:
    long = [
        f"{module.path}:{function.lineno} {function.name}"
        for module in product()
        for function in functions(module)
        if (function.end_lineno or 0) - function.lineno + 1 > FUNCTION_LINES
    ]
    assert len(long) <= LONG_FUNCTIONS, "\n".join(long)


def docstrings(module: Module) -> Iterator[tuple[str, str]]:
    """Where a docstring stands, and its text."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                line = getattr(node, "lineno", 1)
                yield f"{module.path}:{line} {getattr(node, 'name', '')}", text


def is_fragment(docstring: str) -> bool:
    first = re.split(r"(?<=[.:;])\s", " ".join(docstring.split()), maxsplit=1)[0]
    opening = re.match(r"[A-Za-z']+", first)
    if opening is None:
        return False
    n_verbs = len(VERB.findall(first[opening.end() :]))
    word = opening[0].lower()
    return (word in CLAUSE_OPENINGS and n_verbs < 2) or (word in PHRASE_OPENINGS and n_verbs < 1)


def test_docstrings_are_sentences() -> None:
    everything = [found for module in product() for found in docstrings(module)]
    fragments = [
        f"{where}: {text.splitlines()[0]}" for where, text in everything if is_fragment(text)
    ]
    assert len(fragments) <= 0.03 * len(everything), "\n".join(fragments)
    unfinished = [
        f"{where}: {text.splitlines()[-1]}"
        for where, text in everything
        if not text.rstrip().endswith((".", "!", "?", ":", ")", "`", "…"))
    ]
    assert len(unfinished) <= 0.03 * len(everything), "\n".join(unfinished)


def is_participle(name: str) -> bool:
    """Whether a function's name reads as what was done to something instead of what it does."""
    if name.startswith(("is_", "has_", "test_")) or (name.startswith("__") and name.endswith("__")):
        return False
    words = name.strip("_").split("_")
    if not words or words[0] in NOT_PARTICIPLES:
        return False
    return words[0] in PARTICIPLES or (words[0].endswith("ed") and len(words[0]) > 4)


def test_functions_are_named_by_verbs_or_by_what_they_return() -> None:
    names = [
        (f"{module.path}:{function.lineno} {function.name}", function.name)
        for module in product()
        for function in functions(module)
    ]
    participles = [where for where, name in names if is_participle(name)]
    assert len(participles) <= 0.02 * len(names), "\n".join(participles)


def comments(module: Module) -> dict[int, str]:
    """The comment of each line that has one, by line number."""
    lines = iter(module.text.splitlines(keepends=True))
    return {
        token.start[0]: token.string
        for token in tokenize.generate_tokens(lambda: next(lines, ""))
        if token.type == tokenize.COMMENT
    }


def test_what_catches_everything_says_why() -> None:
    silent = []
    for module in modules():
        said = comments(module)
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.ExceptHandler):
                continue
            caught = {"BaseException"}
            if node.type is not None:
                caught = {name.id for name in ast.walk(node.type) if isinstance(name, ast.Name)}
            around = range(node.lineno - 1, node.body[0].lineno + 1)
            if caught & {"Exception", "BaseException"} and not said.keys() & set(around):
                silent.append(f"{module.path}:{node.lineno}")
    assert silent == []


def test_what_is_ignored_is_named_and_says_why() -> None:
    bare = []
    for module in modules():
        said = comments(module)
        for line, comment in said.items():
            found = re.search(r"(?:type: ignore|noqa)(.*)", comment)
            if found is None:
                continue
            is_named = re.match(
                r"(?:\[[a-z0-9, -]+\]|: ?[A-Z]+[0-9]+(?:, ?[A-Z]+[0-9]+)*)", found[1]
            )
            reason = re.sub(r"^(?:\[[^\]]*\]|: ?[A-Z]+[0-9]+(?:, ?[A-Z]+[0-9]+)*)", "", found[1])
            has_reason = bool(re.search(r"[a-z]{3}", reason)) or line - 1 in said
            if not is_named or not has_reason:
                bare.append(f"{module.path}:{line}: {comment}")
    assert bare == []


def test_private_names_stay_in_their_modules() -> None:
    shared = [
        f"{module.path}:{node.lineno} {node.module}.{alias.name}"
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ImportFrom)
        and node.module
        and node.module.split(".")[0] in PACKAGES
        for alias in node.names
        if alias.name.startswith("_")
    ]
    assert shared == []


OLD_WORDS = {
    r"[Hh]andovers?": "handoff",
    r"raw_answer|answer_(?:bytes|sha256|headers)": "response",
    r"dearest": "most expensive",
}


def test_one_word_for_one_thing() -> None:
    texts = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "--", "*.py", "*.html", "*.js", "*.md"],
        cwd=PROJECT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    found = [
        f"{path}: say {word}"
        for path in texts
        if path not in ("CHANGELOG.md", "tests/site/test_prose.py") and "vendor" not in path
        for old, word in OLD_WORDS.items()
        if (PROJECT / path).exists() and re.search(old, (PROJECT / path).read_text())
    ]
    assert found == []


LONG_FUNCTIONS = 5  # tables and loops that read better in one piece
