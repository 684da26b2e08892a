"""A process that journals until it is killed, or on a disk without room. Says on stdout what it was promised.

python -m tests.state.journal_child kill DIRECTORY SEED
python -m tests.state.journal_child full DIRECTORY
"""

import asyncio
import os
import resource
import sys
from pathlib import Path
from random import Random

from quorate.state import journal_space
from quorate.state.anchor import EMPTY
from quorate.state.journal_file import JournalFile
from quorate.state.journal_segment import BODY_AT
from quorate.trusted.journal_record import JournalFault
from quorate.trusted.span import Span

SEGMENT_BYTES = BODY_AT + 64 * 1024
CHECKPOINT_EVERY = 40
WAIT_SECONDS = 0.001


def say(text: str) -> None:
    """One line, at once."""
    os.write(sys.stdout.fileno(), text.encode() + b"\n")


def request_of(slot: int) -> bytes:
    """What is asked at `slot`."""
    return b"SET %d " % slot + bytes(slot * 37 % 3000)


def opened(state: Path) -> JournalFile:
    """The journal, whatever the last process left."""
    file = JournalFile.open(state, "redis", "", "always", EMPTY, SEGMENT_BYTES)
    file.reserve_bytes = 8 * 1024
    return file


def append(file: JournalFile, slot: int) -> None:
    """Order one write."""
    span = Span(None, [request_of(slot)], 0, is_write=True)
    span.first = slot
    file.journal.append(span, [])


def stop(reason: str) -> None:
    """The disk failed: end as a cell would."""
    say(f"failed {reason}")
    os._exit(1)


async def write_until_killed(state: Path, chance: Random) -> None:
    """Say `synced N` and `checkpoint N`, in the order in which they happen."""
    file = opened(state)
    file.begin(lambda slot: say(f"synced {slot}"), stop, lambda: None)
    slot = file.recovered.last_slot
    while True:
        for _ in range(chance.randrange(4)):
            slot += 1
            append(file, slot)
        if file.is_short:
            await asyncio.sleep(WAIT_SECONDS)
        file.write()
        await asyncio.sleep(0)
        if slot % CHECKPOINT_EVERY == 0:
            say(f"checkpoint {file.synced_slot}")
            file.truncate(file.synced_slot)


async def gain_room(file: JournalFile) -> None:
    """Wait until writes are taken again."""
    while file.is_full:  # noqa: ASYNC110 - what is waited for has no event of its own
        await asyncio.sleep(WAIT_SECONDS)


async def write_until_full(state: Path) -> None:
    """Write until it is told that the disk is full, then until there is room again."""
    journal_space.RETRY_SECONDS = WAIT_SECONDS
    file = opened(state)
    file.begin(lambda slot: None, stop, lambda: None)
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    # No file may grow to the size of a segment any more; those that are there stay as they are.
    resource.setrlimit(resource.RLIMIT_FSIZE, (SEGMENT_BYTES - 1, most))
    slot = 0
    while not file.is_full:
        slot += 1
        append(file, slot)
        file.write()
        while file.is_short and not file.is_full:  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(WAIT_SECONDS)
    say(f"full {slot}")
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    await gain_room(file)
    append(file, slot + 1)
    file.write()
    await file.close()
    say(f"closed {slot + 1}")


def main() -> None:
    """Run as the arguments say."""
    mode, state, *rest = sys.argv[1:]
    try:
        if mode == "kill":
            asyncio.run(write_until_killed(Path(state), Random(int(rest[0]))))
        else:
            asyncio.run(write_until_full(Path(state)))
    except JournalFault as fault:
        say(f"fault {fault}")
        raise


if __name__ == "__main__":
    main()
