"""A journal goes on beside the state store that it belongs to, whatever moment a crash took; beside no other.

A world is one cell's many lives: each writes, has checkpoints made and closes by chance, with any `sync`. Before every
system call the disk is looked at as a crash would leave it. What belongs together then must never be refused. And of
all that was ever looked at, any store is tried with any journal: either they are refused, or what comes of them is what
the cell once held.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from quorate.state import journal_file, journal_space
from quorate.state.anchor import EMPTY, Base
from quorate.state.journal_file import JournalFile
from quorate.state.journal_segment import BODY_AT, Sync
from quorate.trusted.journal_record import JournalFault
from quorate.trusted.span import Span
from tests.state.journal_desk import Desk, HeldDisk, in_loop
from tests.state.journal_disks import InlinePool, LatePool, PowerDisk, nothing

STATE = Path("state")
BODY_BYTES = 5120
LIVES = 40
ACTIONS = 14
PAIRS = 1_500
SYNCS: tuple[Sync, ...] = ("always", "always", "interval", "interval", "off")

# What a cell was asked to write, by slot.
History = dict[int, bytes]


class Store:
    """A state store as a crash leaves it: its last checkpoint, and all that was written up to there."""

    def __init__(self, base: Base = EMPTY, history: History | None = None) -> None:
        self.base = base
        self.history = history or {}


def opened(disk: PowerDisk, base: Base, sync: Sync = "always") -> JournalFile:
    file = JournalFile.open(STATE, "redis", "", sync, base, BODY_AT + BODY_BYTES, disk)
    file.reserve_bytes = 0
    return file


def joined(disk: PowerDisk, store: Store) -> History:
    """What a cell holds that starts from these. Raises `JournalFault` where it does not."""
    file = opened(disk.after_kill(), store.base)
    found = dict(store.history)
    for entry in file.entries(store.base.slot):
        found |= {entry.first + offset: request for offset, request in enumerate(entry.requests)}
    return found


class Crash:
    """The disk at one moment, the store, and up to which slot all had been promised by then."""

    def __init__(self, disk: PowerDisk, store: Store, promised: int) -> None:
        self.disk = disk
        self.store = store
        self.promised = promised

    def verify(self, history: History) -> History:
        """A cell starts, and holds a beginning of `history` with all that was promised. Returns that."""
        found = joined(self.disk, self.store)
        last = max(found, default=0)
        assert found == {slot: request for slot, request in history.items() if slot <= last}
        assert max((slot for slot in history if slot <= self.promised), default=0) <= last
        return found


class Life:
    """One process of the cell, up to its crash."""

    def __init__(self, disk: PowerDisk, store: Store, history: History, sync: Sync, chance: Random) -> None:
        self.chance = chance
        self.history = dict(history)
        self.store = store
        self.disk = disk
        self.sync = sync
        self.crashes: list[Crash] = []
        self.promised = store.base.slot
        # What the store will be when the commit that is under way is done, and then what was done and not heard of.
        self.committing: Store | None = None
        self.done: int | None = None
        disk.on_step = self.look
        self.file = opened(disk, store.base, sync)
        self.slot = max(store.base.slot, self.file.recovered.highest_slot)
        if sync != "off":
            self.promised = max(self.promised, self.file.recovered.last_slot)

    def look(self) -> None:
        disks = [self.disk.after_kill()]
        if self.sync != "off":  # else the power took what nobody had been promised, and the product throws all away
            disks.append(self.disk.after_power_loss(self.chance))
        for disk in disks:
            for store in filter(None, [self.store, self.committing]):
                self.crashes.append(Crash(disk, store, max(self.promised, store.base.slot)))

    def _synced(self, slot: int) -> None:
        self.promised = max(self.promised, slot)

    async def run(self) -> None:
        failures: list[str] = []
        self.file.begin(self._synced, failures.append, nothing)
        actions: list[Callable[[], None]] = [self._append] * 6 + [self._read, self._commit, self._commit]
        for _ in range(self.chance.randrange(ACTIONS)):
            self.chance.choice(actions)()
            for _ in range(self.chance.choice([0, 0, 1, 5])):
                await asyncio.sleep(0)
        if self.chance.random() < 0.3:
            self.committing = None  # the keeper ends first
            await self.file.close()
        self.look()
        assert failures == []

    def _append(self) -> None:
        for _ in range(self.chance.randrange(1, 4)):
            self.slot += self.chance.randrange(1, 3)
            # No two processes of any copy ask for the same.
            request = b"SET %d %d " % (self.slot, self.chance.getrandbits(64))
            self.history[self.slot] = request + bytes(self.chance.choice([0, 10, 500, 1500]))
            span = Span(None, [self.history[self.slot]], 0, is_write=True)
            span.first = self.slot
            self.file.journal.append(span, [(0, 1, b"k")])
        self.file.write()

    def _read(self) -> None:
        """Slots that change nothing are in no journal."""
        self.slot += 1

    def _commit(self) -> None:
        """A checkpoint is asked for, done, or heard of: each some time after the other."""
        if self.done is not None:
            self.file.truncate(self.done)
            self.done = None
        elif self.committing is not None:
            self.store, self.committing = self.committing, None
            self.done = self.store.base.slot
            self.promised = max(self.promised, self.done)
        else:
            slot = self.chance.randrange(self.store.base.slot, self.slot + 1)
            held = {at: request for at, request in self.history.items() if at <= slot}
            self.committing = Store(Base(slot, self.chance.randbytes(16), self.file.anchor), held)


class World:
    """All lives of a cell and of its copies. `crashes`: what was ever looked at; `histories`: what was ever written."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        self.crashes: list[Crash] = []
        self.histories: list[History] = []

    def live(self, disk: PowerDisk, store: Store, history: History) -> tuple[Crash, History]:
        """One more life; returns a crash of it, and what was there after that."""
        life = Life(disk, store, history, self.chance.choice(SYNCS), self.chance)
        asyncio.run(life.run())
        kept = [crash.verify(life.history) for crash in life.crashes]
        self.crashes += life.crashes
        self.histories.append(life.history)
        chosen = self.chance.randrange(len(kept))
        return life.crashes[chosen], kept[chosen]

    def run(self) -> None:
        """Lives one after the other; now and then the cell goes on from a copy, or the journal is moved away."""
        crash, history = Crash(PowerDisk(), Store(), 0), History()
        for _ in range(LIVES):
            disk = crash.disk
            if self.chance.random() < 0.1 and self.crashes:
                crash = self.chance.choice(self.crashes)
                disk, history = crash.disk.after_kill(), joined(crash.disk, crash.store)
            elif self.chance.random() < 0.1:
                disk, history = PowerDisk(), crash.store.history
            crash, history = self.live(disk, crash.store, history)

    def is_true(self, found: History) -> bool:
        """Whether the cell, or a copy of it, once held this."""
        last = max(found, default=0)
        return any(
            found == {slot: request for slot, request in history.items() if slot <= last} for history in self.histories
        )


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "seed" in request.fixturenames:
        monkeypatch.setattr(journal_file, "ThreadPoolExecutor", LatePool)
        monkeypatch.setattr(journal_file, "INTERVAL_SECONDS", 0.0)
        monkeypatch.setattr(journal_space, "ThreadPoolExecutor", InlinePool)


@pytest.mark.parametrize("seed", range(8))
def test_what_belongs_together_is_never_refused_and_what_does_not_is_never_joined(seed: int) -> None:
    world = World(seed)
    world.run()
    refused = taken = 0
    for _ in range(PAIRS):
        store = world.chance.choice(world.crashes).store if world.chance.random() < 0.9 else Store()
        disk = world.chance.choice(world.crashes).disk
        try:
            found = joined(disk, store)
        except JournalFault:
            refused += 1
            continue
        taken += 1
        assert world.is_true(found)
    assert refused > PAIRS // 10
    assert taken > PAIRS // 100


# One by one.


def base(slot: int, desk: Desk) -> Base:
    """The checkpoint of `slot` that is made now beside this journal."""
    return Base(slot, b"%16d" % slot, desk.file.anchor)


async def stopped(path: Path, first: int = 1, at: Base = EMPTY) -> Base:
    """A cell that wrote two slots from `first` on, had a checkpoint made of them, and wrote one more."""
    desk = Desk(path, base=at).begin()
    for slot in (first, first + 1):
        desk.writes(slot, b"SET")
    await desk.hears(lambda: desk.file.synced_slot == first + 1)
    checkpoint = base(first + 1, desk)
    desk.writes(first + 2, b"SET")
    await desk.file.close()
    return checkpoint


@in_loop
async def test_the_journal_and_the_store_of_two_cells_are_refused(tmp_path: Path) -> None:
    ours, theirs = await stopped(tmp_path / "ours"), await stopped(tmp_path / "theirs")
    for path, at in ((tmp_path / "ours", theirs), (tmp_path / "theirs", ours)):
        before = {file.name: file.read_bytes() for file in (path / "journal").iterdir()}
        with pytest.raises(JournalFault, match="do not belong together: one of the two is another cell's") as caught:
            Desk(path, base=at)
        assert "restore state store and journal from one copy; or move the journal away" in caught.value.hint
        assert before == {file.name: file.read_bytes() for file in (path / "journal").iterdir()}
    assert Desk(tmp_path / "ours", base=ours).slots(2) == [3]
    assert Desk(tmp_path / "theirs", base=theirs).slots(2) == [3]


@in_loop
async def test_copies_that_both_went_on_are_told_from_each_other(tmp_path: Path) -> None:
    """Though all but the end of their journals is the same."""
    checkpoint = await stopped(tmp_path / "ours")
    (tmp_path / "theirs" / "journal").mkdir(parents=True)
    for file in (tmp_path / "ours" / "journal").iterdir():
        (tmp_path / "theirs" / "journal" / file.name).write_bytes(file.read_bytes())
    ours = await stopped(tmp_path / "ours", 4, checkpoint)
    theirs = await stopped(tmp_path / "theirs", 4, checkpoint)
    assert Desk(tmp_path / "ours", base=ours).slots(5) == [6]
    for path, at in ((tmp_path / "ours", theirs), (tmp_path / "theirs", ours)):
        with pytest.raises(JournalFault, match="do not belong together"):
            Desk(path, base=at)


@in_loop
async def test_an_older_copy_of_the_journal_is_refused(tmp_path: Path) -> None:
    desk = Desk(tmp_path).begin()
    desk.writes(1, b"SET")
    await desk.hears(lambda: desk.file.synced_slot == 1)
    segment = desk.path(1).read_bytes()
    desk.writes(2, b"SET")
    await desk.hears(lambda: desk.file.synced_slot == 2)
    checkpoint = base(2, desk)
    await desk.file.close()
    whole = desk.path(1).read_bytes()
    desk.path(1).write_bytes(segment)
    with pytest.raises(JournalFault, match="ends with record 1, and 2 were on disk when the last checkpoint") as caught:
        Desk(tmp_path, base=checkpoint)
    assert "move the journal away" in caught.value.hint
    desk.path(1).write_bytes(whole)
    assert Desk(tmp_path, base=checkpoint).slots(1) == [2]


@in_loop
async def test_an_emptied_store_is_refused_by_a_journal_that_began_behind_a_checkpoint(tmp_path: Path) -> None:
    """Though nothing was ever cut off from it. One that began beside an empty store holds everything."""
    checkpoint = await stopped(tmp_path)
    assert Desk(tmp_path, base=EMPTY).slots() == [1, 2, 3]
    for file in (tmp_path / "journal").iterdir():
        file.unlink()
    again = await stopped(tmp_path, 3, checkpoint)
    with pytest.raises(JournalFault, match="begins behind slot 2, but the last checkpoint is of slot 0") as caught:
        Desk(tmp_path, base=EMPTY)
    assert "there is no checkpoint before it" in caught.value.hint
    for at in (checkpoint, again):  # either is a moment of this cell's
        assert Desk(tmp_path, base=at).slots(at.slot) == [3, 4, 5][at.slot - 2 :]


@in_loop
async def test_the_journal_that_was_moved_away_is_refused_when_it_comes_back_too_late(tmp_path: Path) -> None:
    checkpoint = await stopped(tmp_path)
    aside = tmp_path / "aside"
    (tmp_path / "journal").rename(aside)
    idle = Desk(tmp_path, base=checkpoint).begin()
    later = base(7, idle)
    await idle.file.close()
    for file in (tmp_path / "journal").iterdir():
        file.unlink()
    (tmp_path / "journal").rmdir()
    aside.rename(tmp_path / "journal")
    with pytest.raises(JournalFault, match="do not belong together"):
        Desk(tmp_path, base=later)
    assert Desk(tmp_path, base=checkpoint).slots(2) == [3]


def test_an_emptied_store_is_refused_where_a_loss_of_power_took_what_a_checkpoint_held() -> None:
    """The checkpoint was all that had it, and whoever wrote nothing since hands that on."""

    async def life(disk: PowerDisk, at: Base, slots: list[int]) -> tuple[Base, PowerDisk]:
        """Write these, have a checkpoint made, and lose power before anything was synced; what is left."""
        file = opened(disk, at, "interval")
        file.begin(lambda slot: None, pytest.fail, nothing)
        for slot in slots:
            span = Span(None, [b"SET"], 0, is_write=True)
            span.first = slot
            file.journal.append(span, [])
            file.write()
        made = Base(at.slot + 2, b"%16d" % (at.slot + 2), file.anchor)
        lost = PowerDisk(dict(disk.durable_names))
        for name, kept in list(lost.files.items()):
            lost.files[name] = lost.durable_names[name] = type(kept)(kept.durable)
        return made, lost

    async def lives() -> None:
        first, disk = await life(PowerDisk(), EMPTY, [1, 2])
        assert joined(disk, Store(first)) == {}
        second, disk = await life(disk, first, [])
        third, disk = await life(disk, second, [5])
        for at in (first, second, third):
            assert (opened(disk.after_kill(), at).recovered.number, at.anchor.synced) == (0, 0)
            with pytest.raises(JournalFault, match=f"begins behind slot {at.slot}, "):
                joined(await written(disk.after_kill(), at), Store())

    async def written(disk: PowerDisk, at: Base) -> PowerDisk:
        """The journal when another process has written to it."""
        file = opened(disk, at)
        file.begin(lambda slot: None, pytest.fail, nothing)
        span = Span(None, [b"SET"], 0, is_write=True)
        span.first = 9
        file.journal.append(span, [])
        file.write()
        await file.close()
        return disk

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal_file, "ThreadPoolExecutor", InlinePool)
        patch.setattr(journal_space, "ThreadPoolExecutor", InlinePool)
        asyncio.run(lives())


@in_loop
async def test_what_is_not_synced_in_between_changes_nothing(tmp_path: Path) -> None:
    """`always`, `off`, `always`: what `off` wrote is void, its checkpoints are not."""
    checkpoint = await stopped(tmp_path)
    for _ in range(2):
        desk = Desk(tmp_path, "off", base=checkpoint).begin()
        slot = checkpoint.slot + 5
        desk.writes(slot, b"SET")
        checkpoint = base(slot, desk)
        desk.writes(slot + 1, b"SET")
        await desk.file.close()
    again = Desk(tmp_path, base=checkpoint).begin()
    assert again.slots(checkpoint.slot) == []
    again.writes(checkpoint.slot + 1, b"SET")
    await again.file.close()
    assert Desk(tmp_path, base=checkpoint).slots(checkpoint.slot) == [checkpoint.slot + 1]
    with pytest.raises(JournalFault, match="begins behind slot 12"):
        Desk(tmp_path, base=EMPTY)


@in_loop
@pytest.mark.parametrize("sync", ["off", "interval", "always"])
async def test_checkpoints_beside_a_journal_that_has_failed_are_good(tmp_path: Path, sync: Sync) -> None:
    """They say what was durable before."""
    disk = HeldDisk()
    at = await stopped(tmp_path)
    desk = Desk(tmp_path, sync, disk, base=at).begin()
    desk.writes(4, b"SET")
    if sync == "always":
        await desk.hears(lambda: desk.file.synced_slot == 4)
    disk.failing = {"write"}
    with pytest.raises(JournalFault):
        desk.writes(5, b"SET")
    checkpoint = base(5, desk)
    again = Desk(tmp_path, base=checkpoint)
    assert again.slots(5) == []
    assert again.file.anchor.predecessor in (at.anchor.writer, checkpoint.anchor.writer)
