"""The trusted core alone: every kind is answered as it says, and measured in microseconds. No speed is asserted."""

import dataclasses
import io

import pytest
from rich.console import Console

from quorate.experiments import core
from quorate.experiments.core import Stage
from quorate.experiments.kinds import KINDS, SEATS, Kind
from quorate.trusted.errors import BrokenInvariant
from quorate.trusted.messages import Role


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_is_answered_as_it_says(kind: Kind) -> None:
    stage = Stage(kind)
    for _ in range(3):
        stage.turn()
    stage.check()
    tally = stage.core.tally
    assert (tally.split, tally.unanswered) == (0, 0)
    assert stage.core.order.inflight_slots == 0
    assert not any(client.out for client in stage.clients)
    voting = [role is Role.VOTING for role in stage.core.roles]
    assert voting == [seat not in kind.lost for seat in range(SEATS)]
    assert (sum(tally.dissents) > 0) == bool(kind.asked_again)


def test_a_measurement_of_wrong_answers_is_refused() -> None:
    wrong = dataclasses.replace(KINDS[0], told=b"$3\r\nyyy\r\n")
    with pytest.raises(BrokenInvariant, match="GET, 1 client"):
        core.measure((wrong,), repetitions=1, seconds=0.001)


def test_every_kind_has_its_microseconds() -> None:
    result = core.measure(KINDS, repetitions=3, seconds=0.002)
    assert list(result["kinds"]) == [kind.name for kind in KINDS]
    assert all(0 < found["min"] <= found["median"] for found in result["kinds"].values())
    assert result["repetitions"] == 3
    assert result["machine"]["trusted"] == "pure"
    screen = Console(file=io.StringIO(), width=120, markup=False)
    screen.print(core.render(result))
    assert isinstance(screen.file, io.StringIO)
    assert all(kind.name in screen.file.getvalue() for kind in KINDS)


def test_the_default_measures_all_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "measure", lambda *arguments: {"asked": arguments})
    assert core.run()["asked"] == (KINDS, core.REPETITIONS, core.REPETITION_SECONDS)
