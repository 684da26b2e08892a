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
from .trusted.coordinator import Coordinator
from .trusted.errors import OperatorFault
from .trusted.journal import Entry
from .trusted.shell import Shell

POLL_SECONDS = 0.001
# After this many entries others have their turn.
ENTRIES_AT_ONCE = 64

UNKNOWN_HINT = "start the cell with the variants that it ran with; after its next checkpoint they may be others"
DISAGREEMENT_HINT = "run them as variants that answer alike; see docs/recovery.md"


async def fill(keeper: Keeper, sock: socket.socket, number: int, name: str) -> None:
    """Make the replica behind `sock` the last checkpoint. Raises `OperatorFault` when it cannot be."""
    try:
        await keeper.feed(sock, number)
        await keeper.seal(number)
    except FeedFault as fault:
        raise OperatorFault(f"replica {name} could not be given the checkpoint's state: {fault}") from fault


async def replay(core: Coordinator, shell: Shell, journal_file: JournalFile, after: int) -> int:
    """Execute again what was ordered behind slot `after` and not buried, as new slots. Returns how many those were.

    Raises `OperatorFault` when the replicas do not agree on it.
    """
    first = core.order.next_slot
    failed = core.tally.split + core.tally.unanswered
    count = 0
    for entry in journal_file.entries(after):
        check_known(core, entry)
        for part in surviving(entry, core.recording.tombstones):
            while not core.can_replay() and not core.is_lost:  # noqa: ASYNC110 - the core knows no events
                await asyncio.sleep(POLL_SECONDS)
            core.replay(part, shell.now())
            shell.schedule()
            count += 1
            if not count % ENTRIES_AT_ONCE:
                await asyncio.sleep(0)
    while core.order.inflight_slots:  # noqa: ASYNC110 - the core knows no events
        await asyncio.sleep(POLL_SECONDS)
    if core.tally.split + core.tally.unanswered > failed or core.is_lost:
        raise OperatorFault("the replicas do not agree on what the journal holds", DISAGREEMENT_HINT)
    return core.order.next_slot - first


def check_known(core: Coordinator, entry: Entry) -> None:
    """Raise `OperatorFault` when the journal holds what these variants cannot execute: others acknowledged it."""
    for request in entry.requests:
        name = core.protocol.unknown_in(request)
        if name:
            raise OperatorFault(f"the journal holds {name}, which a variant of this cell does not know", UNKNOWN_HINT)


def surviving(entry: Entry, tombstones: dict[int, str]) -> list[Entry]:
    """What of `entry` is executed again: all slots but those that were buried."""
    buried = [slot for slot in tombstones if entry.first <= slot <= entry.last]
    if not buried:
        return [entry]
    parts: list[Entry] = []
    begin = entry.first
    for slot in [*sorted(buried), entry.last + 1]:
        requests = entry.requests[begin - entry.first : slot - entry.first]
        # What a buried request may have changed is read again all the same.
        parts.append(Entry(begin, entry.mode, entry.frames, entry.changes, requests))
        begin = slot + 1
    return parts


async def learn(core: Coordinator, keeper: Keeper) -> None:
    """Tell the core of the deadlines that the checkpoint holds."""
    for database, key, held in (await keeper.load()).deadlines:
        core.protocol.learn(database, key, held)
