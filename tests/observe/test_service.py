"""What the service says of recovery, and what it makes of an operator's wish. The cell behind it boots no replica."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog

from quorate.config import load
from quorate.domains.fake import FakeDomain
from quorate.facts import RebuildBegan, RebuildDone, RebuildFailed, RebuildPostponed
from quorate.lives import Life
from quorate.observe.control import Message
from quorate.observe.evidence import read_convictions
from quorate.observe.service import Service
from quorate.observe.snapshot import RecoveringSnapshot
from quorate.seats import Seat
from quorate.trusted.errors import OperatorFault
from quorate.trusted.messages import (
    Cause,
    Convicted,
    QuorumLost,
    QuorumRegained,
    Retired,
    Role,
    Seated,
    ShadowFailed,
    StateUnreadable,
)

CONFIG = '[cell]\nname = "x"\nstate = "state"\n[journal]\nsync = "interval"\n' + "".join(
    f'[[variant]]\nname = "v{name}"\nprogram = "{{python}}"\nargs = ["{{socket}}"]\n'
    f'[[replica]]\nname = "{name}"\nvariants = ["v{name}"]\n'
    for name in "abc"
)


class Wishes:
    """Stands for the cell's `recover`: remembers what was wished for, and tells of progress."""

    def __init__(self) -> None:
        self.heard: list[tuple[list[str], str | None]] = []

    async def __call__(
        self, names: list[str], strategy: str | None, progress: Callable[[str, str, float], None]
    ) -> None:
        self.heard.append((names, strategy))
        for name in names:
            progress(name, "restoring", 0.5)


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


@asynccontextmanager
async def service(directory: Path) -> AsyncIterator[Service]:
    """A service whose cell has three seats: a votes, b was convicted and is being rebuilt, c votes."""
    path = directory / "cell.toml"
    path.write_text(CONFIG)
    config = load(path)
    made = Service(config, lambda replica, stage: None)
    for index, replica in enumerate(config.replicas):
        variant = config.variants[replica.variants[0]]
        life = Life(born_at=time.monotonic() - 60 * (index + 1))
        made.cell.seats.append(Seat(index, replica, variant, FakeDomain(silent), life, Role.VOTING))
    made._evidence.start()
    try:
        yield made
    finally:
        made._evidence.close()


def play(directory: Path, scene: Callable[[Service], Coroutine[Any, Any, Any]]) -> Any:
    async def main() -> Any:
        async with service(directory) as made:
            return await scene(made)

    return asyncio.run(main())


def lose(made: Service, seat: int) -> None:
    made.cell.seats[seat].role = Role.CONVICTED
    made._noticed([Convicted(seat, Cause.WRONG_WRITE, 9, 1)])


def test_the_snapshot_tells_each_seat_s_life(tmp_path: Path) -> None:
    async def scene(made: Service) -> None:
        lose(made, 1)
        life = made.cell.seats[1].life
        life.rebuilds, life.last_rebuild_at, life.last_recovery_seconds = 3, time.monotonic() - 10, 0.5
        life.stage, life.share = "restoring", 0.25
        cell = made.snapshot()
        a, b, c = cell.replicas
        assert b.age_seconds is None, "it does not vote"
        assert (b.rebuilds, b.convictions, b.last_recovery_seconds) == (3, 1, 0.5)
        assert b.last_rebuild is not None
        assert b.last_rebuild >= 10
        assert (a.rebuilds, a.convictions, a.last_rebuild) == (0, 0, None)
        assert a.age_seconds is not None
        assert a.age_seconds >= 60
        assert cell.exposure_seconds == c.age_seconds
        assert cell.exposure_seconds >= 180
        assert cell.recovering == (RecoveringSnapshot("b", "restoring", 0.25),)
        assert (cell.journal.sync, cell.journal.synced_slot) == ("interval", 0)
        assert (cell.checkpoint.slot, cell.checkpoint.age_seconds) == (0, None)
        assert cell.seats_empty == 1

    play(tmp_path, scene)


def test_a_cell_that_nobody_votes_in_is_not_exposed(tmp_path: Path) -> None:
    async def scene(made: Service) -> float:
        for seat in range(3):
            lose(made, seat)
        return made.snapshot().exposure_seconds

    assert play(tmp_path, scene) == 0.0


@pytest.mark.parametrize(
    ("message", "heard"),
    [
        ({"replica": "a"}, (["a"], None)),
        ({"replica": "a", "strategy": "restart"}, (["a"], "restart")),
        ({"replica": None, "all": True, "strategy": "shadow-all"}, (["a", "b", "c"], "shadow-all")),
        ({}, (["b"], None)),
    ],
)
def test_a_wish_reaches_the_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, message: Message, heard: tuple[list[str], str | None]
) -> None:
    told: list[Message] = []

    async def scene(made: Service) -> Message:
        lose(made, 1)
        wishes = Wishes()
        monkeypatch.setattr(made.cell, "recover", wishes)
        reply = await made._recover({"do": "recover", **message}, told.append)
        assert wishes.heard == [heard]
        return reply

    reply = play(tmp_path, scene)
    assert told == [{"replica": name, "stage": "restoring", "share": 0.5} for name in heard[0]]
    assert [replica["name"] for replica in reply["recovered"]] == heard[0]


def test_where_every_replica_votes_nothing_is_wished_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(made: Service) -> None:
        wishes = Wishes()
        monkeypatch.setattr(made.cell, "recover", wishes)
        assert await made._recover({"do": "recover"}, lambda progress: None) == {"recovered": []}
        assert wishes.heard == []

    play(tmp_path, scene)


@pytest.mark.parametrize("strategy", ["none", "sideways", 3, ""])
def test_a_strategy_that_there_is_not_is_refused(tmp_path: Path, strategy: object) -> None:
    async def scene(made: Service) -> None:
        with pytest.raises(OperatorFault, match="there is no strategy") as caught:
            await made._recover({"do": "recover", "replica": "a", "strategy": strategy}, lambda progress: None)
        assert caught.value.hint == "the strategies are: restart, shadow, shadow-all"

    play(tmp_path, scene)


def test_everything_that_happens_is_logged_and_convictions_are_kept(tmp_path: Path) -> None:
    async def scene(made: Service) -> list[Any]:
        with structlog.testing.capture_logs() as lines:
            lose(made, 1)
            made._noticed([Retired(2, Cause.LAG, 10, 2), QuorumLost(1, 3), StateUnreadable(0, b"k\x1b", "why", 4)])
            made._recovered(RebuildBegan("b", "vb", "convicted"))
            made._noticed([ShadowFailed(1, Cause.WRONG_SHADOW, 11, 5)])
            made._recovered(RebuildFailed("b", "vb", "its service ended\n\x1b"))
            made._recovered(RebuildPostponed("a", "only 2 replicas vote"))
            made._noticed([Seated(1, 12, 6), QuorumRegained(2, 7)])
            made._recovered(RebuildDone("b", "vb", 0.25))
        made._evidence.flush()
        return lines

    lines = play(tmp_path, scene)
    events = [line["event"] for line in lines]
    assert events == [
        "convicted",
        "retired",
        "fewer than f+1 replicas vote: clients get errors",
        "no checkpoint: a key cannot be read",
        "rebuild began",
        "shadow thrown away",
        "rebuild failed",
        "restart postponed",
        "voting",
        "f+1 replicas vote again: clients are answered",
        "rebuilt",
    ]
    assert "\x1b" not in str([list(line.values()) for line in lines])
    (conviction,) = read_convictions(tmp_path / "state", 10)
    assert (conviction.replica, conviction.cause) == ("b", Cause.WRONG_WRITE.value)
