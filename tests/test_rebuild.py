"""One shadow, and everything that may become of it before it votes: it alone ends, and its seat is as it was."""

import asyncio
import os
import re
import signal
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, patch

import pytest

from quorate import boot, rebuild
from quorate.domains.make import UIDS_MAX
from quorate.facts import RebuildDone, RebuildFailed, StateRegained
from quorate.rebuild import RebuildFault
from quorate.state.faults import FeedFault, StateFault
from quorate.state.link import Feeding, Keeper
from quorate.trusted.errors import OperatorFault
from quorate.trusted.messages import Convicted, Role
from quorate.trusted.shell import Lane
from tests.cell.inside import Part, Replica, Stage, document, play, staged
from tests.test_recovery import no_progress

VARIANTS = (("one",), ("two", "bad"), ("three",))
MANY = 300


def silent(replica: Replica, request: list[bytes], reply: bytes) -> bytes | None:
    """Runs, and never answers."""
    return None


def forgetful(replica: Replica, request: list[bytes], reply: bytes) -> bytes | None:
    """Takes everything, and has nothing."""
    return b"$-1\r\n" if request[0] == b"GET" else reply


def other_type(replica: Replica, request: list[bytes], reply: bytes) -> bytes | None:
    """Says that everything is a list."""
    return b"-WRONGTYPE it is a list\r\n" if request[0] == b"GET" else reply


def refusing(replica: Replica, request: list[bytes], reply: bytes) -> bytes | None:
    """Has no room."""
    return b"-OOM\r\n" if request[0] == b"SET" else reply


def nonsense(replica: Replica, request: list[bytes], reply: bytes) -> bytes | None:
    """Sends what is no reply."""
    return reply if request[0] == b"PING" else b"\0\0\r\n"


def mortal(replica: Replica, request: list[bytes], reply: bytes) -> bytes | None:
    """Dies while it is given its state."""
    if replica.heard > MANY // 2:
        replica.domain.crash(1, "out of memory")
    return reply


def unteachable(replica: Replica, request: list[bytes], reply: bytes) -> bytes | None:
    """Has the state, and refuses what a lane begins with."""
    return b"-ERR no\r\n" if request[0] in (b"SCRIPT", b"HELLO") else reply


async def filled(stage: Stage) -> None:
    for number in range(MANY):
        await stage.ask("SET", f"key{number}", "value")


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        ("no such kernel", "no such kernel"),
        (silent, "did not become ready"),
        (forgetful, "key"),
        (other_type, "key"),
        (refusing, "OOM"),
        (nonsense, "is no reply|says more than it was asked"),
        (mortal, "closed its lane|the lane broke"),
        (unteachable, "it refused its lane's setup"),
    ],
)
def test_a_shadow_that_is_no_good_is_thrown_away(
    part: Part | str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its operator hears why; nobody else notices, and it may be tried again."""
    monkeypatch.setattr(boot, "BOOT_SECONDS_MAX", 0.3)
    monkeypatch.setattr(boot, "BOOT_REPLY_SECONDS_MAX", 0.1)

    async def scene(directory: Path) -> None:
        async with staged(document(VARIANTS), directory, bad=part) as stage:
            await filled(stage)
            stage.voters.clear()
            with pytest.raises(OperatorFault, match="replica b was not rebuilt") as fault:
                await stage.cell.recover(["b"], None, no_progress)
            assert re.search(reason, str(fault.value))
            assert fault.value.hint
            (told,) = stage.told(RebuildFailed)
            assert (told.replica, told.variant) == ("b", "bad")
            assert stage.told(RebuildDone) == stage.told(Convicted) == []
            assert set(stage.voters) <= {3}
            assert stage.cell.core.roles == [Role.VOTING] * 3
            assert stage.cell.rebuilder.shadows == {} == stage.cell.shell.shadows
            assert [seat.role for seat in stage.cell.seats] == [Role.VOTING] * 3
            assert not stage.replicas[-1].domain.running
            assert stage.cell.seats[1].variant.name == "two"
            assert await stage.ask("SET", "key0", "another") == b"OK"
            await stage.cell.recover(["c"], None, no_progress)
            await stage.agreed()

    play(scene)


def test_a_rebuild_does_not_last_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """A replica that stops in the middle of its state is not waited for."""
    monkeypatch.setattr(rebuild, "REBUILD_SECONDS_MAX", 0.5)

    def stuck(replica: Replica, request: list[bytes], reply: bytes) -> bytes | None:
        return None if replica.heard > MANY // 2 else reply

    async def scene(directory: Path) -> None:
        async with staged(document(VARIANTS), directory, bad=stuck) as stage:
            await filled(stage)
            with pytest.raises(OperatorFault, match="replica b was not rebuilt: it took too long"):
                await stage.cell.recover(["b"], None, no_progress)
            await stage.cell.recover(["a"], None, no_progress)
            await stage.agreed()

    play(scene)


def test_what_is_written_meanwhile_is_not_missing() -> None:
    """Keys are changed, deleted and added between a shadow's first look and its seat."""

    async def scene(directory: Path) -> None:
        async with staged(document(), directory) as stage:
            await filled(stage)
            recovering = asyncio.ensure_future(stage.cell.recover([], "shadow-all", no_progress))
            number = 0
            while not recovering.done():
                number += 1
                await stage.ask("SET", f"key{number % MANY}", number)
                await stage.ask("DEL", f"key{(number * 7) % MANY}")
                await stage.ask("RPUSH", f"new{number}", number)
            await recovering
            assert len(await stage.agreed()) > number

    play(scene)


def test_no_two_domains_share_a_directory_or_a_user() -> None:
    """Neither a shadow with the replica that it follows, nor with any other at its time."""

    async def scene(directory: Path) -> None:
        async with staged(document(), directory) as stage:
            made: list[tuple[Path, int]] = []

            def make(kind: str, recipe: object, directory: Path, number: int) -> object:
                made.append((directory, number))
                return stage.replicas[0].domain

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(rebuild, "make", make)
                for _ in range(UIDS_MAX):
                    for seat in stage.cell.seats:
                        stage.cell.rebuilder.domain(seat, seat.variant)
            assert len({directory for directory, _ in made}) == len(made)
            numbers = [number for _, number in made]
            assert all(0 <= number < UIDS_MAX for number in numbers)
            assert all(len(set(numbers[place : place + 6])) == 6 for place in range(len(numbers) - 6))

    play(scene)


def test_a_shadow_fails_once() -> None:
    """The first reason is the one that counts, and nobody has to listen."""

    async def scene(directory: Path) -> None:
        async with staged(document(), directory) as stage:
            seat = stage.cell.seats[0]
            shadow = stage.cell.rebuilder.shadow(seat, seat.variant, no_progress)
            shadow.fail("first")
            shadow.fail("second")
            with pytest.raises(RebuildFault, match="first"):
                await shadow.seated
            assert shadow.name == "a"
            stage.cell.rebuilder.shadows.clear()

    play(scene)


def test_a_shadow_whose_keeper_ended_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for a checkpoint, of which the next keeper cannot prove it: simulated seed 1000000006."""
    monkeypatch.setattr("quorate.keeping.RENEWAL_SECONDS_FIRST", 0.01)

    async def scene(directory: Path) -> None:
        async with staged(document(), directory) as stage:
            await filled(stage)
            shell, keeping = stage.cell.shell, stage.cell.keeping
            begin = shell.begin

            def begin_and_end(lane: Lane, seat: int) -> None:
                monkeypatch.setattr(shell, "begin", begin)
                begin(lane, seat)
                keeper = keeping.keeper()
                keeper._break(StateFault("the keeper was ended"))
                os.kill(keeper.pid, signal.SIGKILL)

            monkeypatch.setattr(shell, "begin", begin_and_end)
            with pytest.raises(OperatorFault, match="replica b was not rebuilt: the keeper was ended"):
                await stage.cell.recover(["b"], None, no_progress)
            assert stage.cell.rebuilder.shadows == {} == shell.shadows
            assert stage.cell.core.roles == [Role.VOTING] * 3
            await stage.until(lambda: stage.told(StateRegained), "state is kept again")
            await stage.cell.recover(["b"], None, no_progress)
            await stage.agreed()

    play(scene)


def test_a_shadow_that_votes_already_is_not_given_up() -> None:
    """Although nobody was told yet: whoever is told next finds it in its place."""

    async def scene(directory: Path) -> None:
        async with staged(document(), directory) as stage:
            seat, rebuilder, shell = stage.cell.seats[0], stage.cell.rebuilder, stage.cell.shell
            shadow = rebuilder.shadow(seat, seat.variant, no_progress)
            await shadow.domain.start()
            shadow.lane = await shell.adopt_shadow(await shadow.domain.connect())
            with patch.object(rebuilder, "_prepare", AsyncMock(side_effect=asyncio.CancelledError)):
                with patch.dict(stage.cell.core.vote.lanes, {shadow.lane.number: stage.cell.core.vote.seats[0]}):
                    with pytest.raises(asyncio.CancelledError):
                        await rebuilder.run(shadow)
                    assert (shadow.role, rebuilder.shadows) == (Role.BOOTING, {0: shadow})
                with pytest.raises(asyncio.CancelledError):
                    await rebuilder.run(shadow)
            assert (shadow.role, rebuilder.shadows) == (Role.RETIRED, {})

    play(scene)


def test_a_shadow_that_was_given_up_while_it_was_sealed_is_sent_nothing() -> None:
    """All replicas begin anew, and nobody has told the shadow yet: what was kept for it is of another life."""

    async def scene(directory: Path) -> None:
        async with staged(document(), directory) as stage:
            seat, rebuilder, shell = stage.cell.seats[0], stage.cell.rebuilder, stage.cell.shell
            shadow = rebuilder.shadow(seat, seat.variant, no_progress)
            await shadow.domain.start()
            shadow.lane = await shell.adopt_shadow(await shadow.domain.connect())
            shadow.lane.begin(b"of another life")
            with patch.object(Keeper, "seal", AsyncMock(return_value=1)) as seal:
                await rebuilder.seal([shadow])
            seal.assert_awaited_once_with(shadow.feed)
            assert shadow.lane.kept == [b"of another life"]
            shell.give_up(shadow.lane, seat.index)
            await shadow.domain.kill()
            rebuilder.shadows.clear()

    play(scene)


def break_off(keeper: Keeper) -> None:
    """It ends, and that is known at once."""
    keeper._break(StateFault("its disk is full"))
    keeper._child.signal(signal.SIGKILL)


def last_words(method: Callable[..., Awaitable[int]]) -> Callable[..., Awaitable[int]]:
    """The keeper's `method`, in the turn of whose end the keeper ends too."""

    async def ending(keeper: Keeper, *arguments: Any) -> int:
        slot = await method(keeper, *arguments)
        break_off(keeper)
        return slot

    return ending


def test_a_keeper_that_ends_before_it_is_handed_the_replica_leaves_no_socket_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[socket.socket] = []

    async def kept(*arguments: Any) -> socket.socket:
        opened.append(await boot.boot(*arguments))
        return opened[-1]

    async def scene(directory: Path) -> None:
        async with staged(document(), directory) as stage:
            await filled(stage)
            keeping = stage.cell.keeping
            keeper, patiently = keeping.keeper(), stage.cell.rebuilder._patiently

            async def ended_meanwhile(shadow: rebuild.Shadow, recent: "asyncio.Future[int]") -> None:
                await patiently(shadow, recent)
                break_off(keeper)

            monkeypatch.setattr(rebuild, "boot", kept)
            monkeypatch.setattr(stage.cell.rebuilder, "_patiently", ended_meanwhile)
            with pytest.raises(OperatorFault, match="replica b was not rebuilt: its disk is full"):
                await stage.cell.recover(["b"], None, no_progress)
            assert [sock.fileno() for sock in opened] == [-1]

    play(scene)


@pytest.mark.parametrize("is_told", [True, False])
def test_a_keeper_that_ends_in_the_turn_in_which_it_said_sealed_costs_the_shadow_alone(
    is_told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing stands still any more at what the shadow was proved to hold: it is sent nothing, and made anew.

    Whether it was told already that the keeper has ended, or learns it here.
    """
    monkeypatch.setattr("quorate.keeping.RENEWAL_SECONDS_FIRST", 0.01)

    async def scene(directory: Path) -> None:
        async with staged(document(), directory) as stage:
            await filled(stage)
            keeping = stage.cell.keeping
            if not is_told:
                monkeypatch.setattr(keeping, "on_lost", lambda fault: None)
            told = pytest.raises(OperatorFault, match="replica b was not rebuilt: its disk is full")
            with patch.object(Keeper, "seal", last_words(Keeper.seal)), told:
                await stage.cell.recover(["b"], None, no_progress)
            assert stage.cell.rebuilder.shadows == {} == stage.cell.shell.shadows
            assert stage.cell.core.vote.voters() == 3
            await stage.until(lambda: keeping.has_keeper and not keeping.is_lost, "state is kept again")
            await stage.cell.recover(["b"], None, no_progress)
            assert not stage.cell.is_broken
            await stage.agreed()

    play(scene)


def test_a_keeper_that_ends_in_the_turn_in_which_it_said_fed_costs_the_shadow_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever was told that it ended counted the shadow among those that are restored, and so told it nothing."""
    monkeypatch.setattr("quorate.keeping.RENEWAL_SECONDS_FIRST", 0.01)

    async def scene(directory: Path) -> None:
        async with staged(document(), directory) as stage:
            await filled(stage)
            keeping = stage.cell.keeping
            told = pytest.raises(OperatorFault, match="replica b was not rebuilt: its disk is full")
            with patch.object(Keeper, "feed", last_words(Keeper.feed)), told:
                await stage.cell.recover(["b"], None, no_progress)
            assert stage.cell.rebuilder.shadows == {} == stage.cell.shell.shadows
            await stage.until(lambda: keeping.has_keeper and not keeping.is_lost, "state is kept again")
            await stage.cell.recover(["b"], None, no_progress)
            await stage.agreed()

    play(scene)


def test_a_shadow_is_kept_for_once_it_holds_what_changed_while_it_was_fed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else all of that would have to be made on it while the store stands still, and what clients ask is kept."""

    async def scene(directory: Path) -> None:
        async with staged(document(), directory) as stage:
            await filled(stage)
            keeping, shell = stage.cell.keeping, stage.cell.shell
            feed, begin = Keeper.feed, shell.begin
            lacked: list[int] = []

            async def fed(keeper: Keeper, *arguments: Any) -> int:
                slot = await feed(keeper, *arguments)
                for number in range(MANY):
                    await stage.ask("SET", f"key{number}", "another")
                return slot

            def begun(lane: Lane, seat: int) -> None:
                (feeding,) = keeping.keeper().feeds.values()
                lacked.append(stage.cell.core.changes.count + feeding.lag)
                begin(lane, seat)

            monkeypatch.setattr(shell, "begin", begun)
            with patch.object(Keeper, "feed", fed):
                await stage.cell.recover(["b"], None, no_progress)
            assert lacked == [0]
            await stage.agreed()

    play(scene)


@pytest.mark.parametrize(
    ("left", "rounds"),
    [
        ([0], 1),
        ([90_000, 40_000, 20_000, 1_000], 4),
        ([90_000, 40_000, 39_000], 3),
        ([90_000, 95_000], 2),
        ([90_000 // 2**number for number in range(rebuild.FOLLOW_ROUNDS_MAX + 1)], rebuild.FOLLOW_ROUNDS_MAX),
    ],
)
def test_checkpoints_are_made_until_one_leaves_little_or_not_less_than_before(
    left: list[int], rounds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild, "PROGRESS_SECONDS", 0.0)
    monkeypatch.setattr(rebuild, "FOLLOW_KEYS_MAX", 1_000 if min(left) in (0, 1_000) else 0)

    async def scene(directory: Path) -> None:
        feeding, rests = Feeding(), list(left)

        async def checkpoint(is_urgent: bool) -> int:
            assert is_urgent
            assert feeding.lag == 0, "what the last one left is done first"
            feeding.lag = rests.pop(0)
            asyncio.get_running_loop().call_soon(setattr, feeding, "lag", 0)
            return 1

        async with staged(document(), directory) as stage:
            with patch.object(stage.cell.keeping, "checkpoint", checkpoint):
                await stage.cell.rebuilder._follow(feeding)
            assert len(left) - len(rests) == rounds

    play(scene)


def test_a_replica_that_fails_while_it_follows_is_not_waited_for() -> None:
    async def scene(directory: Path) -> None:
        feeding = Feeding()

        async def checkpoint(is_urgent: bool) -> int:
            feeding.lag = MANY
            feeding.ended(FeedFault("it hangs", is_replicas=True))
            return 1

        async with staged(document(), directory) as stage:
            with patch.object(stage.cell.keeping, "checkpoint", checkpoint), pytest.raises(FeedFault, match="it hangs"):
                await stage.cell.rebuilder._follow(feeding)

    play(scene)
