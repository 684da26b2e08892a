"""What the service says of recovery, and what it makes of an operator's wish. The cell behind it boots no replica."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, get_args

import pytest
import structlog
from rich.console import Console

from quorate.commands.status import render
from quorate.config import load
from quorate.domains.fake import FakeDomain
from quorate.facts import (
    Fact,
    JournalFull,
    JournalHasRoom,
    JournalLost,
    JournalMissing,
    RebuildBegan,
    RebuildDone,
    RebuildFailed,
    RebuildPostponed,
    RevivalEnded,
    SeatLeftEmpty,
    StateLost,
    StateMiscounted,
    StateRegained,
)
from quorate.lives import Life
from quorate.observe.control import Message
from quorate.observe.evidence import read_convictions, read_undecided
from quorate.observe.fact_lines import LINES, log_fact
from quorate.observe.service import Service
from quorate.observe.snapshot import CellSnapshot, JournalSnapshot, ShadowSnapshot
from quorate.seats import Seat
from quorate.state.anchor import EMPTY
from quorate.state.faults import StateFault
from quorate.state.journal_file import JournalFile
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
    Undecided,
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


FAULT = """replica b: the program did not start in its sandbox (exit code 1)
command: /usr/bin/bwrap --args 33 -- /bin/false
options: --unshare-user --unshare-pid
no such library
console: (empty)"""


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
    made.cell.seats[seat].become(Role.CONVICTED)
    made._noticed([Convicted(seat, Cause.WRONG_WRITE, 9, 1)])


def test_the_snapshot_tells_each_seat_s_life(tmp_path: Path) -> None:
    async def scene(made: Service) -> None:
        lose(made, 1)
        life = made.cell.seats[1].life
        life.rebuilds, life.last_rebuild_at, life.last_recovery_seconds = 3, time.monotonic() - 10, 0.5
        shadow = made.cell.rebuilder.shadow(made.cell.seats[1], made.cell.seats[1].variant, lambda *_: None)
        shadow.become(Role.RESTORING)
        shadow.tell(0.25)
        made.cell.seats[2].retiring.append(FakeDomain(silent))
        cell = made.snapshot()
        a, b, c = cell.replicas
        assert b.age_seconds is None, "it does not vote"
        assert (b.rebuilds, b.convictions, b.last_recovery_seconds) == (3, 1, 0.5)
        assert b.last_rebuild_seconds is not None
        assert b.last_rebuild_seconds >= 10
        assert (a.rebuilds, a.convictions, a.last_rebuild_seconds) == (0, 0, None)
        assert a.age_seconds is not None
        assert a.age_seconds >= 60
        assert cell.exposure_seconds == c.age_seconds
        assert cell.exposure_seconds >= 180
        assert (a.shadow, c.shadow) == (None, None)
        assert b.shadow == ShadowSnapshot(made.cell.seats[1].variant.name, "restoring", 0.25)
        assert [replica.retiring for replica in cell.replicas] == [0, 0, 1]
        assert (cell.journal.sync, cell.journal.synced_slot) == ("interval", 0)
        assert (cell.checkpoint.slot, cell.checkpoint.age_seconds) == (0, None)
        assert cell.seats_empty == 1

    play(tmp_path, scene)


def test_the_snapshot_and_the_screen_tell_what_is_wrong_with_what_is_kept(tmp_path: Path) -> None:
    """With what a client called a key, and nothing of it may steer the operator's terminal."""

    async def scene(made: Service) -> None:
        assert "kept no more" not in shown(made.snapshot())
        made.cell.keeping.broke(StateFault("its disk is full"))
        made.cell.journaling.fault = "its disk failed"
        made.cell.core.sweep.unreadable[(3, b"long\x1b[2J")] = "its state is over the limit of one reply"
        for number in range(100):
            made.cell.core.sweep.unreadable[(4, b"%d" % number)] = "why"
        cell = made.snapshot()
        assert (cell.checkpoint.fault, cell.journal.fault) == ("its disk is full", "its disk failed")
        assert len(cell.checkpoint.unreadable) == 8
        screen = shown(cell)
        assert "\x1b" not in screen
        for told in (
            "no checkpoints, and no rebuilds: database 3 key 'long",
            "its state is over the limit of one reply",
            "state is kept no more, so that no replica can be rebuilt: its disk is full",
            "the journal is kept no more, so that all replicas cannot begin anew: its disk failed",
        ):
            assert told in screen

    play(tmp_path, scene)


def test_a_full_disk_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(made: Service) -> None:
        journaling = made.cell.journaling
        journaling.open(tmp_path, EMPTY)
        assert made.snapshot().journal == JournalSnapshot("interval", 0)
        monkeypatch.setattr(JournalFile, "is_full", True)
        assert made.snapshot().journal.is_full
        assert "the disk has no room for the journal: writes are refused, reads are served" in shown(made.snapshot())
        await journaling.close()

    play(tmp_path, scene)


def shown(cell: CellSnapshot) -> str:
    """The screen of a cell, as one line."""
    console = Console(width=400)
    with console.capture() as captured:
        console.print(render(cell))
    return captured.get()


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


def test_slots_that_are_not_decided_do_not_fill_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few lines a minute; then it is said how many slots were not told of."""

    async def scene(made: Service) -> list[Any]:
        with structlog.testing.capture_logs() as lines:
            made._noticed([Undecided(slot, b"", False, True, 1, count=2) for slot in range(1, 51, 2)])
            made._undecided_at -= 61.0
            made._noticed([Undecided(51, b"", False, False, 2)])
        return lines

    lines = play(tmp_path, scene)
    kept = [record.slot for record in read_undecided(tmp_path / "state", 99)]
    assert kept == [51, *range(49, 0, -2)], "what the log leaves out is in the evidence"
    assert [line["first"] for line in lines] == [*range(1, 41, 2), 51]
    assert [line["not_told_before"] for line in lines] == [0] * 20 + [10]
    assert [line["reason"] for line in lines][-2:] == ["split", "unanswered"]


def test_a_key_that_holds_checkpoints_up_is_named_once(tmp_path: Path) -> None:
    """As long as nothing changes about that; many of them are not all named."""

    async def scene(made: Service) -> list[Any]:
        unreadable = made.cell.core.sweep.unreadable
        with structlog.testing.capture_logs() as lines:
            for _ in range(3):
                for number in range(20):
                    unreadable[0, b"%d" % number] = "too long"
                    made._noticed([StateUnreadable(0, b"%d" % number, "too long", 4)])
            unreadable.clear()
            unreadable[1, b"9"] = "too long"
            made._noticed([StateUnreadable(1, b"9", "too long", 4)])
        return lines

    named = [(line["database"], line["key"]) for line in play(tmp_path, scene)]
    assert named == [*((0, b"%d" % number) for number in range(8)), (1, b"9")]


@pytest.mark.parametrize("strategy", ["none", "sideways", 3, ""])
def test_a_strategy_that_there_is_not_is_refused(tmp_path: Path, strategy: object) -> None:
    async def scene(made: Service) -> None:
        with pytest.raises(OperatorFault, match="there is no strategy") as caught:
            await made._recover({"do": "recover", "replica": "a", "strategy": strategy}, lambda progress: None)
        assert caught.value.hint == "the strategies are: restart, shadow, shadow-all"

    play(tmp_path, scene)


def test_each_fact_has_its_line() -> None:
    assert set(LINES) == set(get_args(Fact))


def test_everything_that_happens_is_logged_and_convictions_are_kept(tmp_path: Path) -> None:
    async def scene(made: Service) -> list[Any]:
        with structlog.testing.capture_logs() as lines:
            lose(made, 1)
            made._noticed([Retired(2, Cause.LAG, 10, 2), QuorumLost(1, 3), StateUnreadable(0, b"k\x1b", "why", 4)])
            log_fact(RebuildBegan("b", "vb", "convicted"))
            made._noticed([ShadowFailed(1, Cause.WRONG_SHADOW, 11, 5)])
            log_fact(RebuildFailed("b", "vb", "its service ended\n\x1b"))
            log_fact(RebuildPostponed("a", "only 2 replicas vote"))
            made._noticed([Seated(1, 12, 6), QuorumRegained(2, 7)])
            log_fact(RebuildDone("b", "vb", 0.25))
            log_fact(RebuildDone("b", "vb", 0.25, is_planned=True))
            made._noticed([Retired(2, Cause.RESTART, 10, 2)])
            log_fact(SeatLeftEmpty("b", FAULT))
            log_fact(RevivalEnded(1.0, FAULT))
            for fact in (StateLost("full\x1b"), StateRegained(), StateMiscounted([3]), JournalLost("failed\x1b")):
                log_fact(fact)
            log_fact(JournalMissing(7))
            log_fact(JournalFull())
            log_fact(JournalHasRoom())
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
        "rebuilt",
        "retired",
        "a seat has no replica for now",
        "the replicas could not be begun anew",
        "state is kept no more",
        "state is kept again",
        "keys came or went that no request named",
        "the journal is kept no more",
        "there is no journal: what was written after the last checkpoint is lost",
        "the disk has no room for the journal: writes are refused",
        "the journal has room again: writes are served",
    ]
    assert "\x1b" not in str([list(line.values()) for line in lines])
    levels = {event: [line["log_level"] for line in lines if line["event"] == event] for event in events}
    assert levels["rebuilt"] == ["warning", "info"]
    assert levels["retired"] == ["error", "info"]
    said = "replica b: the program did not start in its sandbox (exit code 1); no such library"
    assert [line["reason"] for line in lines if line.get("reason", "").startswith("replica b")] == [said, said]
    (conviction,) = read_convictions(tmp_path / "state", 10)
    assert (conviction.replica, conviction.cause) == ("b", Cause.WRONG_WRITE.value)
