"""Starting a cell from what it kept: the last checkpoint fills every replica, and the journal is executed after it.

Ring 1. Replicas keep nothing themselves. Each is filled by the keeper and proved to hold the checkpoint, before it
votes; then what was ordered later is executed again, by the vote. Until all that is done no client is served, and no
deadline is looked at: what the journal holds was executed while those keys were there.
"""

import asyncio
import socket

from .state.faults import FeedFault
from .state.journal_file import JournalFile
from .state.link import Keeper
from .suspects import Part, Suspects
from .trusted.changes import LARGE_BYTES
from .trusted.coordinator import Coordinator
from .trusted.errors import OperatorFault
from .trusted.journal_record import INEXACT, Entry
from .trusted.shell import Shell
from .trusted.tombstones import Tombstones

POLL_SECONDS = 0.001
# After this many entries others have their turn.
ENTRIES_AT_ONCE = 64
# After this many slots it is waited until all are decided, so that little is in question when something is not.
SLOTS_AT_ONCE = 4_096

UNKNOWN_HINT = "start the cell with the variants that it ran with; after its next checkpoint they may be others"
DISAGREEMENT_HINT = "run them as variants that answer alike (docs/recovery.md)"
LEAVE_OUT_HINT = "; or, if nobody was told that this request succeeded, start once with --leave-out {}"


async def fill(keeper: Keeper, sock: socket.socket, number: int, name: str) -> None:
    """Make the replica behind `sock` the last checkpoint. Raises `OperatorFault` when it cannot be."""
    try:
        await keeper.feed(sock, number)
        await keeper.seal(number)
    except FeedFault as fault:
        raise OperatorFault(f"replica {name} could not be given the checkpoint's state: {fault}") from fault


class Disagreement(OperatorFault):
    """The replicas do not agree on what the journal holds.

    All before slot `begins` was decided. `slot` is the one that they came to grief over, 0 where that is not known, and
    `part` the part of what was suspected that was executed last, if any was.
    """

    def __init__(self, begins: int, slot: int, part: Part | None = None) -> None:
        where = f", at slot {slot}" if slot else ""
        hint = DISAGREEMENT_HINT + (LEAVE_OUT_HINT.format(slot) if slot else "")
        super().__init__(f"the replicas do not agree on what the journal holds{where}", hint)
        self.begins = begins
        self.part = part


async def replay(
    core: Coordinator,
    shell: Shell,
    journal_file: JournalFile,
    after: int,
    singly_from: int = 0,
    suspects: Suspects | None = None,
) -> int:
    """Execute again what was ordered behind slot `after` and not buried, as new slots. Returns how many those were.

    Slots from `singly_from` on are executed one by one (0: none), so that the `Disagreement` that this raises, when the
    replicas do not agree on it, names the slot; of the `suspects` it names the part.
    """
    first = core.order.next_slot
    suspects = suspects or Suspects()
    replaying = _Replaying(core, shell, after + 1, suspects)
    count = 0
    for entry in journal_file.entries(after):
        check_known(core, entry)
        for part in surviving(entry, core.recording.tombstones):
            is_single = 0 < singly_from <= part.last
            is_divided = is_single or suspects.is_within(part.first, part.last)
            for piece in _singly(part) if is_divided else [part]:
                await replaying.comes(piece)
                core.replay(piece, shell.now())
                shell.schedule()
                await replaying.asked(piece, is_single)
            count += 1
            if not count % ENTRIES_AT_ONCE:
                await asyncio.sleep(0)
    await replaying.survived()
    await replaying.settled(0)
    return core.order.next_slot - first


class _Replaying:
    """Waits for a core that executes again, which knows no events. All before slot `begins` is decided."""

    def __init__(self, core: Coordinator, shell: Shell, begins: int, suspects: Suspects) -> None:
        self._core = core
        self._shell = shell
        self._begins = begins
        self._suspects = suspects
        # The part of what is suspected that is being executed: its number, its slots, and what it was asked in.
        self._number = 0
        self._part: Part | None = None
        self._mode = 0
        self._asked = 0
        self._closed = core.tally.split + core.tally.unanswered

    async def comes(self, entry: Entry) -> None:
        """`entry` is next: until it may be asked. Raises `Disagreement` when something was not decided."""
        number = self._suspects.part_of(entry.first)
        if number != self._number:
            await self.survived()
        await self._room()
        self._number, self._mode = number, entry.mode
        if number:
            self._part = (self._part[0] if self._part else entry.first, entry.last)

    async def survived(self) -> None:
        """Until a part of what is suspected, if one is being executed, is over, and the replicas still answer."""
        if self._part is None:
            return
        await self.settled(0)
        await asyncio.sleep(self._suspects.wait_seconds)
        self._probe(self._mode)
        await self.settled(0)
        self._part = None

    def _probe(self, mode: int) -> None:
        """Ask what changes nothing: whoever died or hangs after its last reply does not answer."""
        request, _ = self._core.protocol.probe()
        self._core.replay(Entry(self._core.order.next_slot, mode & ~INEXACT, 1, [], [request]), self._shell.now())
        self._shell.schedule()

    async def _room(self) -> None:
        while self._must_wait():  # noqa: ASYNC110 - the core knows no events
            await asyncio.sleep(POLL_SECONDS)
        self._check(0)

    def _must_wait(self) -> bool:
        """Whether enough is under way, or others are so far ahead of a voter that clients would have to wait for it.

        Else a lane would be given more than it keeps, and a replica that is merely slow be called mute.
        """
        core = self._core
        return not core.is_lost and (core.order.is_full() or core.vote.is_throttled(self._shell.now()))

    async def asked(self, entry: Entry, is_single: bool) -> None:
        """`entry` is being executed: wait for it if it `is_single`, or if much is under way."""
        self._asked += len(entry.requests)
        if is_single and entry.requests:
            # Else the next slot would be blamed for what this one did.
            await self.settled(entry.first)
            self._probe(entry.mode)
        if is_single or self._asked >= SLOTS_AT_ONCE:
            await self.settled(entry.first if is_single else 0)
            self._asked = 0
            self._begins = entry.last + 1

    async def settled(self, slot: int) -> None:
        """Until nothing is under way. Raises `Disagreement` about `slot` when something was not decided."""
        while self._core.order.inflight_slots:  # noqa: ASYNC110 - the core knows no events
            await asyncio.sleep(0 if slot else POLL_SECONDS)
        self._check(slot)

    def _check(self, slot: int) -> None:
        tally = self._core.tally
        if tally.split + tally.unanswered > self._closed or self._core.is_lost:
            raise Disagreement(self._begins, slot, self._part)


def _singly(entry: Entry) -> list[Entry]:
    """The slots of `entry` one by one. Each has all keys: which request changes which is not known."""
    return [
        Entry(entry.first + index, entry.mode, entry.frames, entry.changes, [request])
        for index, request in enumerate(entry.requests)
    ] or [entry]


def check_known(core: Coordinator, entry: Entry) -> None:
    """Raise `OperatorFault` when the journal holds what these variants cannot execute: others acknowledged it."""
    for request in entry.requests:
        name = core.protocol.unknown_in(request)
        if name:
            raise OperatorFault(f"the journal holds {name}, which a variant of this cell does not know", UNKNOWN_HINT)


def surviving(entry: Entry, tombstones: Tombstones) -> list[Entry]:
    """What of `entry` is executed again: all slots but those that were buried."""
    buried = tombstones.within(entry.first, entry.last)
    if not buried:
        return [entry]
    parts: list[Entry] = []
    begin, changes = entry.first, entry.changes
    for first, last in [*buried, (entry.last + 1, entry.last + 1)]:
        requests = entry.requests[begin - entry.first : first - entry.first]
        if requests or changes:
            # What a buried request may have changed is read again all the same.
            parts.append(Entry(begin, entry.mode, entry.frames, changes, requests))
            changes = []
        begin = last + 1
    return parts


async def learn(core: Coordinator, keeper: Keeper) -> None:
    """Tell the core of the deadlines that the checkpoint holds, and which keys are large."""
    loaded = await keeper.load()
    for database, key, held in loaded.deadlines:
        core.protocol.learn(database, key, held)
    for database, key, size in loaded.sizes:
        core.changes.found(database, key, size)
        core.changes.longest = max(core.changes.longest, size)
    if keeper.checkpoint.counts:
        core.changes.longest = max(core.changes.longest, LARGE_BYTES)
