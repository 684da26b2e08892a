"""The soak's clients: what they ask, and how they tell one harm from another."""

import random

import pytest

from quorate.experiments.client import ErrorReply, Reply
from quorate.experiments.model import Step
from quorate.experiments.soak_client import LIST_LENGTH_MAX, TROUBLES_TOLD_MAX, Findings, Ledger


def steps(ledger: Ledger, word: bytes, count: int = 1) -> Step:
    """The `count`-th next step that asks `word`."""
    chance = random.Random(1)
    found = 0
    while True:
        step = ledger.step(chance)
        found += step.arguments[0] == word
        if found == count:
            return step


@pytest.mark.parametrize(
    ("word", "count", "reply", "kind"),
    [
        (b"INCR", 5, 4, "lost"),
        (b"INCR", 5, 6, "duplicated"),
        (b"INCR", 5, b"what", "wrong"),
        (b"RPUSH", 5, 3, "lost"),
        (b"RPUSH", 5, 9, "duplicated"),
        (b"DEL", 1, 0, "wrong"),
    ],
)
def test_a_wrong_count_is_a_lost_or_a_duplicated_write(word: bytes, count: int, reply: Reply, kind: str) -> None:
    ledger = Ledger(b"me")
    step = steps(ledger, word, count)
    assert not step.accepts(reply)
    assert ledger.blame(step, reply) == kind


@pytest.mark.parametrize(
    ("change", "kind"), [(lambda told: told[:-1], "lost"), (lambda told: [*told, told[-1]], "duplicated")]
)
def test_a_list_tells_what_was_lost_and_what_was_done_twice(change: object, kind: str) -> None:
    ledger = Ledger(b"me")
    steps(ledger, b"RPUSH", 7)
    count, numbers = ledger.audit()
    right: list[Reply] = [b"%d" % number for number in range(1, 8)]
    assert numbers.accepts(right)
    assert callable(change)
    assert not numbers.accepts(change(right))
    assert ledger.blame(numbers, change(right)) == kind
    assert count.arguments == (b"GET", b"me:ledger:count")
    assert ledger.blame(count, b"1") == "lost"


def test_lists_stay_short() -> None:
    ledger, chance = Ledger(b"me"), random.Random(3)
    lengths = []
    for _ in range(2_000):
        step = ledger.step(chance)
        if step.arguments[0] == b"RPUSH":
            lengths.append(next(length for length in range(1, 100) if step.accepts(length)))
    assert max(lengths) == LIST_LENGTH_MAX
    assert lengths.count(1) > 1


def test_findings_of_several_processes_are_added() -> None:
    one, other = Findings(requests=3, lost=1), Findings(requests=4, failed=2)
    one.latencies.add(0.001)
    other.latencies.add(0.004)
    for number in range(2 * TROUBLES_TOLD_MAX):
        other.tell(f"failed: {ErrorReply(str(number))}")
    one.add(other.to_json())
    assert (one.requests, one.lost, one.failed) == (7, 1, 2)
    assert len(one.troubles) == TROUBLES_TOLD_MAX
    assert one.latencies.summary()["max"] == 4.0
