"""The median of paired measurements, with an interval that assumes nothing of their distribution.

The interval is that of the sign test: between the k-th smallest and the k-th largest of n values
lies the true median with a probability of 1 − 2·P(B < k), where B is binomial with n trials of ½.
With nine pairs and k = 2 that is 96.1 %.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from statistics import median

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    median: float
    low: float
    high: float


def estimate(values: Sequence[float]) -> Estimate:
    """The median of `values`, at least one, and its interval."""
    ordered = sorted(values)
    rank = _rank(len(ordered))
    return Estimate(median(ordered), ordered[rank - 1], ordered[-rank])


def coverage(n: int) -> float:
    """The probability that the interval of `n` pairs holds the true median: at least CONFIDENCE
    from six pairs on. Fewer have no such interval: theirs goes from the smallest to the largest."""
    return _coverage(n, _rank(n))


def _rank(n: int) -> int:
    """The largest k whose interval still has the confidence; 1 when none has it."""
    return max((k for k in range(1, n // 2 + 1) if _coverage(n, k) >= CONFIDENCE), default=1)


def _coverage(n: int, k: int) -> float:
    return 1 - sum(comb(n, i) for i in range(k)) / float(2 ** (n - 1))
