"""Breaks the core in small ways, one at a time, and counts how many of them the tests notice.

    python -m benchmarks.mutation --max 150 --seed 1

It works on a copy of this checkout. The mutations are those of cosmic-ray that leave code which
somebody could have written: a comparison that includes its bound, `or` for `and`, one more or one
less, a loop that is not entered, an exception that is not caught. A mutant first meets the tests
that name its module, then the others of its package; one that survives them is printed as a diff.
Tests that notice a mutant are run once without any: the command ends where they fail then, too.
"""

from __future__ import annotations

import argparse
import difflib
import gc
import inspect
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice, zip_longest
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from types import CodeType, FunctionType
from typing import Any, NoReturn

import pytest
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

PROJECT = Path(__file__).parents[1]
# Each package, and the tests that hold it.
TESTS = {
    "capture/wire": ("tests/capture/wire", "tests/capture/parsing", "tests/capture/pricing"),
    "capture/pricing": ("tests/capture/pricing",),
    "capture/admission": ("tests/capture/admission",),
    "capture/spool": ("tests/capture/spool", "tests/capture/recorder"),
    "access": ("tests/access",),
}
SWAPS = {
    "ReplaceComparisonOperator": "Eq_NotEq NotEq_Eq Lt_LtE LtE_Lt Gt_GtE GtE_Gt Is_IsNot IsNot_Is",
    "ReplaceBinaryOperator": "Add_Sub Sub_Add Mul_Add FloorDiv_Mul Div_Mul Mod_FloorDiv",
    "ReplaceUnaryOperator": "USub_UAdd Delete_Not",
}
OPERATORS = (
    *(f"core/{kind}_{swap}" for kind, swaps in SWAPS.items() for swap in swaps.split()),
    *(f"core/Replace{swap}" for swap in ("TrueWithFalse", "FalseWithTrue", "AndWithOr")),
    *(f"core/Replace{swap}" for swap in ("OrWithAnd", "BreakWithContinue", "ContinueWithBreak")),
    *("core/AddNot", "core/ExceptionReplacer", "core/NumberReplacer", "core/ZeroIterationForLoop"),
)
STARTS_PROCESSES = re.compile(r"tests\.support\.ledger import .*\bLedger\b")
OPTIONS = (
    *("-n", "0", "-p", "no:cacheprovider", "--timeout", "60"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # of modules that a fork has imported
)
QUICK = "not hypothesis and not soak and not e2e"
ORIGINALS: dict[Path, str] = {}
TIMEOUT_S = 900


@dataclass(frozen=True)
class Mutant:
    package: str
    module: str
    operator: str
    occurrence: int

    def source(self, original: str) -> str:
        changed: str = mutate_code(original, get_operator(self.operator)(), self.occurrence)
        return changed

    def diff(self, original: str) -> str:
        lines = original.splitlines(), self.source(original).splitlines()
        return "\n".join(difflib.unified_diff(*lines, self.module, self.operator, "", "", 1, ""))


def mutants_of(package: str, module: str, source: str) -> Iterator[Mutant]:
    nodes = list(ast_nodes(get_ast(source)))
    for name in OPERATORS:
        operator, occurrence = get_operator(name)(), 0
        for node in nodes:
            for _ in operator.mutation_positions(node):
                if not is_exempt(name, node):
                    yield Mutant(package, module, name, occurrence)
                occurrence += 1


def is_exempt(operator: str, node: Any) -> bool:
    """Returns true for the number of a constant, since bounds and times are chosen by judgement and
    one more is as good, and for what a decorator such as `dataclass(frozen=True)` is given."""
    within = set()
    while node.parent is not None:
        node = node.parent
        within.add(node.type)
    is_constant = operator == "core/NumberReplacer" and not within & {"funcdef", "classdef"}
    return is_constant or "decorator" in within


def sample(mutants: dict[str, list[Mutant]], seed: int) -> Iterator[Mutant]:
    """Yields the mutants of all packages in turn, as many of each as of the others, at random."""
    random = Random(seed)
    for some in mutants.values():
        random.shuffle(some)
    turns = chain.from_iterable(zip_longest(*mutants.values()))
    return (mutant for mutant in turns if mutant is not None)


class Checkout:
    """A copy of the checkout, in which the tests run."""

    def __init__(self, folder: Path, *, is_quick: bool = False) -> None:
        self.folder, self.is_quick = folder, is_quick
        self._passed: set[tuple[str, ...]] = set()
        self.options = [*OPTIONS, *(["-m", QUICK] if is_quick else [])]
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, cwd=PROJECT, check=True, capture_output=True, text=True)
        for name in filter(None, names.stdout.split("\0")):
            if (PROJECT / name).exists():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(PROJECT / name, folder / name)

    def modules(self, package: str) -> list[str]:
        paths = sorted((self.folder / package).rglob("*.py"))
        return [str(p.relative_to(self.folder)) for p in paths if "migrations" not in p.parts]

    def compiles(self, mutant: Mutant) -> bool:
        """Returns false where an operator took a star or a slash for a sign of arithmetic."""
        try:
            compile(mutant.source((self.folder / mutant.module).read_text()), "mutant", "exec")
        except SyntaxError:
            return False
        return True

    def notices(self, mutant: Mutant) -> bool:
        path = self.folder / mutant.module
        original = ORIGINALS[path] = path.read_text()
        try:
            self._write(path, mutant.source(original))
            runs = (tests for tests in self._tests(mutant) if not self.pass_(tests, mutant))
            failed = next(runs, None)
        finally:
            self._write(path, original)
        if failed is None:
            return False
        self._check(failed)
        return True

    def _check(self, tests: list[str]) -> None:
        """Exits if these tests fail without a mutation too. They run once for all mutants."""
        if tuple(tests) not in self._passed and not self.pass_(tests):
            sys.exit(f"without a mutation, too, one of these fails: {' '.join(tests)}")
        self._passed.add(tuple(tests))

    def _write(self, path: Path, source: str) -> None:
        path.write_text(source)
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
            compiled.unlink()  # it is told by size and second of its source, which may be the same

    def _tests(self, mutant: Mutant) -> Iterator[list[str]]:
        """Yields the test modules that name the mutant's module, then the others that start no
        process, then those that do."""
        folders = [self.folder / tests for tests in TESTS[mutant.package]]
        paths = sorted(chain.from_iterable(folder.rglob("test_*.py") for folder in folders))
        parent, stem = Path(mutant.module).with_suffix("").parts[-2:]
        near = re.compile(rf"\b{parent}\.{stem}\b|{parent} import \(?[^)]*\b{stem}\b|test_{stem}\b")
        turns: tuple[list[str], ...] = ([], [], [])
        for path in paths:
            source = path.name + path.read_text()
            turn = 0 if near.search(source) else 2 if STARTS_PROCESSES.search(source) else 1
            turns[turn].append(str(path))
        return (turn for turn in turns[: 2 if self.is_quick else 3] if turn)

    def pass_(self, tests: list[str], mutant: Mutant | None = None) -> bool:
        """Runs tests until one fails; returns whether none does. A run without an end fails."""
        child = os.fork()
        if not child:
            changed = self.folder / mutant.module if mutant else None
            run_tests(["-x", *self.options, *tests], changed)
        deadline = time.monotonic() + TIMEOUT_S
        while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
            if time.monotonic() > deadline:
                os.killpg(child, signal.SIGKILL)
            time.sleep(0.02)
        return ended[1] == 0

    def warm_up(self) -> None:
        """Imports all tests, and what they test, from the copy: each run is a fork of this process,
        in which functions get the code that they have in the mutant."""
        os.chdir(self.folder)
        os.environ["PYTHONPATH"] = sys.path[0] = str(self.folder)
        folders = sorted(set(chain.from_iterable(TESTS.values())))
        if pytest.main([*OPTIONS, "--collect-only", "-qq", *folders]):
            sys.exit("the tests cannot be collected")


def run_tests(command: list[str], changed: Path | None) -> NoReturn:
    """Never returns: it ends this process with pytest's status. `changed` is the module that is a
    mutant; None: none is."""
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nowhere, stream)
    try:
        if changed is None or put_into_place(changed):
            os._exit(int(pytest.main(command)))
        os.execv(sys.executable, [sys.executable, "-m", "pytest", *command])
    except BaseException:  # whatever it was, the tests did not pass
        os._exit(1)


def put_into_place(path: Path) -> bool:
    """Gives the functions of a module, which are imported already, the code that is in its file
    now. Returns false where the change is outside of functions: then all must be imported anew."""
    now = compile(path.read_text(), str(path), "exec")
    before = compile(ORIGINALS[path], str(path), "exec")
    if signature(now) != signature(before):
        return False
    codes = {(code.co_qualname, code.co_firstlineno): code for code in functions_in(now)}
    gc.unfreeze()  # what our start froze is not listed
    for function in gc.get_objects():
        if isinstance(function, FunctionType) and function.__code__.co_filename == str(path):
            code = function.__code__
            function.__code__ = codes[code.co_qualname, code.co_firstlineno]
    return True


def is_function(code: CodeType) -> bool:
    return bool(code.co_flags & inspect.CO_OPTIMIZED)


def functions_in(code: CodeType) -> Iterator[CodeType]:
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            if is_function(inner):
                yield inner
            yield from functions_in(inner)


def signature(code: CodeType) -> list[object]:
    """What a module does when it is imported: its code and that of its classes."""
    inner = [c for c in code.co_consts if isinstance(c, CodeType) and not is_function(c)]
    constants = [repr(c) for c in code.co_consts if not isinstance(c, CodeType)]
    return [code.co_code, code.co_names, constants, *map(signature, inner)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("packages", nargs="*", default=[*TESTS], help="or modules; default: all")
    parser.add_argument("--max", type=int, help="how many mutants; default: all of them")
    parser.add_argument("--seed", type=int, default=1, help="of the choice of mutants")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="leave out tests that start processes or make input up",
    )
    arguments = parser.parse_args()
    with TemporaryDirectory(prefix="mutation-") as name:
        checkout = Checkout(Path(name), is_quick=arguments.quick)
        mutants: dict[str, list[Mutant]] = {}
        for package in TESTS:
            for module in checkout.modules(package):
                if any(module.startswith(chosen) for chosen in arguments.packages):
                    source = (checkout.folder / module).read_text()
                    mutants.setdefault(package, []).extend(mutants_of(package, module, source))
        print(f"{sum(map(len, mutants.values()))} mutants", flush=True)
        compiling = filter(checkout.compiles, sample(mutants, arguments.seed))
        chosen = islice(compiling, arguments.max)
        checkout.warm_up()
        report(checkout, chosen)


def report(checkout: Checkout, mutants: Iterable[Mutant]) -> None:
    made, noticed = Counter[str](), Counter[str]()
    for n, mutant in enumerate(mutants, 1):
        began = time.monotonic()
        made[mutant.package] += 1
        is_noticed = checkout.notices(mutant)
        noticed[mutant.package] += is_noticed
        verdict = "noticed" if is_noticed else "SURVIVED"
        print(f"{n}: {mutant.module} {verdict} in {time.monotonic() - began:.0f} s", flush=True)
        if not is_noticed:
            print(mutant.diff((checkout.folder / mutant.module).read_text()), flush=True)
    for package in made:
        print(f"{package}: {noticed[package]} of {made[package]} noticed")
    if made:
        print(f"{noticed.total() / made.total():.0%} of {made.total()} mutants noticed")


if __name__ == "__main__":
    main()
