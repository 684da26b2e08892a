"""Values that together are more than a replica may keep twice: they are read, and no replica dies of it."""

import pytest
import redis

from quorate.trusted.limits import MIB
from tests.cell.conftest import MakeCell
from tests.cell.replicas import kill_everything
from tests.cell.support import Document, RunningCell, eventually, example

SANDBOX = pytest.mark.needs("bwrap", "redis-server", "libmimalloc.so.2", "libtcmalloc_minimal.so.4")
SMALL_KEYS = 3_000
LARGE_KEYS = 12
VALUE_BYTES = 6 * MIB
REPLY_BYTES_MAX = 8 * MIB
NAME_BYTES = 15 * MIB
STRETCH = "return redis.call('SETRANGE', KEYS[1], ARGV[1], 'x')"


def tight() -> Document:
    """A cell whose replicas have no room for all large values and for replies that tell of all of them."""
    limits = {"memory_bytes_max": 0, "reply_bytes_max": REPLY_BYTES_MAX, "lag_bytes_max": REPLY_BYTES_MAX}
    document = example("redis-durable", "sandbox", **limits)
    for variant in document["variant"]:
        variant["memory"] = "128MiB"
    return document | {"checkpoint": {"every": "1s"}}


def kept(cell: RunningCell) -> None:
    """Wait for a checkpoint that was begun from now on."""
    cell.redis().incr("written")
    slot = cell.status().slot
    eventually(lambda: cell.status().checkpoint.slot >= slot, "there is a checkpoint")


@SANDBOX
def test_many_large_values_are_read_for_a_checkpoint_and_nobody_dies_of_it(cells: MakeCell) -> None:
    cell = cells(tight()).start()
    names = [f"large{number}" for number in range(LARGE_KEYS)]
    with cell.redis() as client:
        with client.pipeline(transaction=False) as pipeline:
            for number in range(SMALL_KEYS):
                pipeline.set(number, "x")
            pipeline.execute()
        kept(cell)
        with client.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.setrange(name, VALUE_BYTES - 1, "x")
            pipeline.execute()
        kept(cell)
    assert_unharmed(cell)
    # What the journal tells, and what the checkpoint told, is as heavy as it was.
    kill_everything(cell)
    cell.forget_clients()
    cell.start()
    with cell.redis() as client, client.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.append(name, "y")
        assert pipeline.execute() == [VALUE_BYTES + 1] * LARGE_KEYS
    kept(cell)
    assert_unharmed(cell)
    assert cell.stop() == 0


@SANDBOX
def test_what_was_not_foreseen_costs_one_revival_and_not_all_the_time(cells: MakeCell) -> None:
    """A listed script makes long values of short arguments: nobody weighs that."""
    document = tight()
    document["cell"]["scripts"] = [redis.Redis().register_script(STRETCH).sha]
    cell = cells(document).start()
    # In one slot, so that no checkpoint comes between.
    with cell.redis() as client, client.pipeline() as transaction:
        for number in range(LARGE_KEYS):
            transaction.eval(STRETCH, 1, f"large{number}", VALUE_BYTES - 1)
        transaction.execute()
    eventually(lambda: cell.status().revivals, "the replicas did not survive the checkpoint")
    kept(cell)
    status = cell.settled()
    assert (status.state, status.revivals, status.checkpoint.unreadable) == ("serving", 1, ())
    assert cell.redis().strlen("large0") == VALUE_BYTES
    assert cell.stop() == 0


def assert_unharmed(cell: RunningCell) -> None:
    """Nobody was convicted or begun anew."""
    status = cell.settled()
    assert cell.convictions() == []
    assert (status.revivals, status.seats_empty, status.split, status.unanswered) == (0, 0, 0, 0)


@SANDBOX
def test_names_of_many_megabytes_are_read_and_nobody_is_called_mute_for_them(cells: MakeCell) -> None:
    cell = cells(example("redis-durable", "sandbox") | {"checkpoint": {"every": "1s"}}).start()
    with cell.redis() as client:
        for number in range(4):
            client.set(b"%d" % number * NAME_BYTES, "x")
    kept(cell)
    assert_unharmed(cell)
    assert cell.stop() == 0
