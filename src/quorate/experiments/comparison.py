"""The arithmetic of a comparison: from samples to medians and ratios. Pure.

Everything is a median over all rounds and tests. A ratio is taken within one round and one test, where both sides were
measured seconds apart, and the median is that of the ratios: what slows the machine for a while slows both.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

DIRECT, HAPROXY, QUORATE = "direct", "haproxy", "quorate"
SUBJECTS = (DIRECT, HAPROXY, QUORATE)


@dataclass(frozen=True, slots=True)
class Sample:
    """One test of one setting against one subject, in one round."""

    round: int
    setting: str
    subject: str
    test: str
    requests_per_second: float
    p50_ms: float


def compare(samples: Iterable[Sample]) -> dict[str, dict[str, float]]:
    """By setting, what each subject reached, and what the cell reached of the others.

    `direct`, `haproxy` and `quorate` are requests per second; `of_direct` and `of_haproxy` the cell's share of theirs;
    `p50_of_direct` how many times the direct median latency the cell's is. Raises `KeyError` unless each subject was
    measured in the same rounds and tests.
    """
    by_setting: dict[str, list[Sample]] = {}
    for sample in samples:
        by_setting.setdefault(sample.setting, []).append(sample)
    return {setting: _compare_one(found) for setting, found in by_setting.items()}


def _compare_one(samples: list[Sample]) -> dict[str, float]:
    found = {(sample.subject, sample.round, sample.test): sample for sample in samples}
    cells = [(found[QUORATE, round_, test], round_, test) for subject, round_, test in found if subject == QUORATE]
    result = {
        subject: median(sample.requests_per_second for sample in samples if sample.subject == subject)
        for subject in SUBJECTS
    }
    for subject in (DIRECT, HAPROXY):
        result[f"of_{subject}"] = median(
            cell.requests_per_second / found[subject, round_, test].requests_per_second for cell, round_, test in cells
        )
    result["p50_of_direct"] = median(cell.p50_ms / found[DIRECT, round_, test].p50_ms for cell, round_, test in cells)
    return result
