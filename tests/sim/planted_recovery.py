"""Planted faults of recovery: as in planted.py, hunted in the runs in which replicas are rebuilt and all begin anew.

python -m tests.sim.planted_recovery            run all, print the table of docs/planted-faults.md
python -m tests.sim.planted_recovery NAME …     run these
"""

import sys
from functools import partial

from tests.sim.__main__ import RECOVERING_FROM
from tests.sim.planted import Planted, show

RECOVERING_SEEDS_MAX = 60

fault = partial(Planted, first=RECOVERING_FROM, seeds=RECOVERING_SEEDS_MAX)

PLANTED_RECOVERY = (
    fault(
        "a shadow is counted before it has its seat",
        "vote.py",
        "        outstanding = 0\n        for seat in self.seats:\n            if seat.is_ready() and",
        "        outstanding = 0\n        for seat in (*self.seats, *self.shadows):\n"
        "            if (seat.is_ready() or (seat.is_shadow and not seat.owed and not seat.setup_frames)) and",
        first=RECOVERING_FROM + 22,
    ),
    fault(
        "a shadow that owes replies takes its seat",
        "vote.py",
        "if shadow.is_held or shadow.owed or shadow.setup_frames",
        "if shadow.is_held or shadow.setup_frames",
    ),
    fault(
        "a shadow begins one slot late",
        "vote.py",
        "shadow.begins_at = self.frontier + sum(span.count for span in self.awaiting)",
        "shadow.begins_at = self.frontier + sum(span.count for span in self.awaiting) + 1",
    ),
    fault(
        "kept bytes begin before the shadow's first slot",
        "distribute.py",
        "self.begins_at = len(before) if self._is_beginning else NOWHERE",
        "self.begins_at = 0 if self._is_beginning else NOWHERE",
    ),
    fault(
        "a shadow is taken for granted to know the lane's mode",
        "distribute.py",
        "        self.outgoing.clear()\n        self._mode = NO_MODE\n        self._is_beginning = True\n",
        "        self.outgoing.clear()\n        self._is_beginning = True\n",
        first=RECOVERING_FROM + 10,
    ),
    fault(
        "a wrong shadow is forgiven",
        "coordinator.py",
        "            self._fail_shadow(dissent.seat - len(self.roles), Cause.WRONG_SHADOW, dissent.slot, now)\n"
        "            return\n",
        "            return\n",
        first=RECOVERING_FROM + 46,
    ),
    fault(
        "the store moves on while shadows are sealed",
        "sweep.py",
        "self.stage = Stage.SEALING if self._will_seal else Stage.RESTING",
        "self.stage = Stage.RESTING if self._will_seal else Stage.RESTING",
    ),
    fault(
        "the run that closes a checkpoint leaves a key out",
        "sweep.py",
        "taken = self._changes.take(self._changes.count, self._changes.weight)",
        "taken = self._changes.take(max(self._changes.count - 1, 1), self._changes.weight)",
    ),
    fault(
        "a set that was written is not noted",
        "changes.py",
        "        self.keep(database, key, kind, added, least)\n\n    def keep",
        "        if kind != SET:\n            self.keep(database, key, kind, added, least)\n\n    def keep",
        first=RECOVERING_FROM + 5,
    ),
    fault(
        "the gate opens one record early",
        "gate.py",
        "while self._turns and is_durable(self._turns[0][0]):",
        "while self._turns and is_durable(self._turns[0][0] - 1):",
    ),
    fault(
        "a tombstone is not journaled",
        "recording.py",
        "            self.journal.tombstone(slot, reason, now)\n",
        "            self.tombstones.bury(slot, slot, reason)\n",
        first=RECOVERING_FROM + 13,
    ),
    fault(
        "what is buried is executed again",
        "recording.py",
        "        self.tombstones.bury(slot, slot, reason)\n        if",
        "        if",
        first=RECOVERING_FROM + 3,
    ),
    fault(
        "the replay leaves out an entry",
        "../restart.py",
        "        return [entry]\n",
        "        return [entry] if entry.first % 3 else []\n",
        first=RECOVERING_FROM + 7,
    ),
    fault(
        "neighbours in the journal lose a request",
        "journal_writer.py",
        "            entries[-4] += span.count\n",
        "            entries[-4] += 1\n",
        first=RECOVERING_FROM + 28,
    ),
    fault(
        "replayed writes change nothing that is read",
        "coordinator.py",
        "        self.changes.note_again(entry.changes, sum(map(len, entry.requests)))\n",
        "        self.changes.note_again([], 0)\n",
        first=RECOVERING_FROM + 12,
    ),
    fault(
        "slots begin anew where they began before",
        "coordinator.py",
        "        self.order.next_slot = slot + 1\n        self.vote.frontier = slot + 1\n",
        "        self.order.next_slot = slot\n        self.vote.frontier = slot\n",
    ),
    fault(
        "what was lost is never rebuilt",
        "recover.py",
        "        self._lost[seat] = why\n        if now",
        "        self._lost[seat] = None\n        if now",
    ),
    fault(
        "who came too late for a checkpoint is forgotten",
        "joining.py",
        "will_seal=bool(self.waiting)",
        "will_seal=False",
        first=RECOVERING_FROM + 5,
    ),
    fault(
        "a restart by plan takes the quorum",
        "recover.py",
        "return may_lose_a_voter(voting.count(True), self._f)",
        "return voting.count(True) > self._f",
        first=RECOVERING_FROM + 15,
    ),
    fault(
        "what a shadow owes has no bound",
        "vote.py",
        "                if self.patience.is_beyond(shadow):\n",
        "                if shadow.is_broken:\n",
        first=RECOVERING_FROM + 21,
    ),
    fault(
        "changed keys without a bound",
        "coordinator.py",
        "if self.changes.size > self.limits.changes_bytes_max or ",
        "if ",
    ),
    fault(
        "what waits for the disk has no bound",
        "coordinator.py",
        "if self.is_suspended or self.is_stalled or",
        "if self.is_suspended or",
    ),
    fault(
        "a database that was swapped is counted and not listed",
        "sweep.py",
        "        else:\n            self.stage = Stage.LISTING\n",
        "        else:\n            self._clear(database)\n",
    ),
    fault(
        "a new replica inherits what the one before it did",
        "coordinator.py",
        "            self.judge.forgive(seat)\n            self.notices.append(Seated",
        "            self.notices.append(Seated",
        first=RECOVERING_FROM + 71,
    ),
    fault(
        "some of the journal is executed twice",
        "../restart.py",
        "        return [entry]\n",
        "        return [entry] * (1 + (b'$4\\r\\ntags\\r\\n' in b''.join(entry.requests)))\n",
        first=RECOVERING_FROM + 13,
    ),
    fault(
        "a reply leaves before earlier slots are durable",
        "gate.py",
        "while self._turns and is_durable(self._turns[0][0]):",
        "while self._turns and is_durable(0):",
    ),
    fault(
        "a full disk takes writes",
        "protocols/redis/allow_list.py",
        "if command.is_write and is_journal_full:",
        "if command.is_write and is_journal_full and count > 3:",
    ),
    fault(
        "after a renewal not all state is read again",
        "../keeping.py",
        "for database in range(self._databases):",
        "for database in range(0):",
        first=RECOVERING_FROM + 11,
    ),
    fault(
        "what an earlier keeper stored is believed",
        "../keeping.py",
        "                keeper.clear(effect.database)\n",
        "                self.is_lost or keeper.clear(effect.database)\n",
    ),
    fault(
        "commits of a keeper that ended are waited for",
        "../keeping.py",
        "that these were done.\n        self._commits = 0\n",
        "that these were done.\n",
        first=RECOVERING_FROM + 36,
    ),
    fault(
        "a shadow waits on for a keeper that ended",
        "../keeping.py",
        "        self.on_lost(fault)\n",
        "",
        first=RECOVERING_FROM + 45,
    ),
    fault(
        "a revival does not wait for another keeper",
        "../revival.py",
        "            await self._keeping.kept()\n",
        "",
        first=RECOVERING_FROM + 13,
    ),
    fault(
        "a revival goes on with f",
        "../refill.py",
        "return votes_needed(self._shell.core.f)",
        "return self._shell.core.f",
        first=RECOVERING_FROM + 3,
    ),
    fault(
        "all new replicas are waited for",
        "../refill.py",
        "seconds = max(give_up_at - now, 0.0)",
        "seconds = None",
        first=RECOVERING_FROM + 102,
    ),
    fault(
        "a seat that was left empty is forgotten",
        "../refill.py",
        "            if seat.index not in filled:\n",
        "            if seat.index in ():\n",
        first=RECOVERING_FROM + 12,
    ),
    fault(
        "who failed once is not tried as its next variant",
        "../refill.py",
        "                self._faults[seat.index] = fault\n",
        "                self._faults[seat.index] = fault\n                return None\n",
        first=RECOVERING_FROM + 17,
    ),
    fault(
        "what came to nothing in a seat goes on there",
        "../refill.py",
        "                await self._end(seat)\n                if isinstance",
        "                seat.retire()\n                if isinstance",
        first=RECOVERING_FROM + 37,
    ),
    fault(
        "who votes when the cell is lost runs on",
        "../revival.py",
        "                self._core.replica_stopped(seat.index, self._shell.now())\n                continue\n",
        "                continue\n",
        first=RECOVERING_FROM + 63,
    ),
    fault(
        "a lost cell is not tried again",
        "../revival.py",
        "            if not self._is_persistent:\n",
        "            if self._is_persistent:\n",
        first=RECOVERING_FROM + 3,
    ),
    fault(
        "a start that lost its quorum goes on as if it had one",
        "../revival.py",
        "        if self._core.is_lost:\n            self.noticed(",
        "        if self._core.is_lost and self._is_busy:\n            self.noticed(",
        first=RECOVERING_FROM + 7,
    ),
    fault(
        "another try begins beside what was under way",
        "../revival.py",
        "        if not self._core.is_suspended:\n            self._core.suspend(",
        "        if self._core.is_lost and self._core.is_suspended:\n            self._core.suspend(",
        first=RECOVERING_FROM + 3,
    ),
    fault(
        "a try that fails gives its last slot away again",
        "coordinator.py",
        "        self.is_lost = True\n        self.notices.append(QuorumLost(0, now))\n",
        "        self.is_lost = True\n        self.order.next_slot -= 1\n"
        "        self.notices.append(QuorumLost(0, now))\n",
        first=RECOVERING_FROM + 3,
    ),
    fault(
        "a shadow is to begin that lacks a key",
        "../rebuild.py",
        "            while feeding.lag and feeding.fault is None:",
        "            while feeding.lag > 1 and feeding.fault is None:",
        first=RECOVERING_FROM + 5,
    ),
    fault(
        "a shadow is to begin that nobody follows with",
        "../rebuild.py",
        "                raise feeding.fault\n",
        "                return\n",
        first=RECOVERING_FROM + 25,
    ),
    fault(
        "what runs in a failed shadow's domain goes on",
        "../rebuild.py",
        "killing = asyncio.ensure_future(shadow.domain.kill())",
        "killing = asyncio.ensure_future(asyncio.sleep(0))",
    ),
    fault(
        "who gives up a rebuild gives up its shadow's end",
        "../rebuild.py",
        "            await asyncio.shield(killing)\n",
        "            await killing\n",
        first=RECOVERING_FROM + 8,
    ),
    fault(
        "a failed shadow's first lane stays open",
        "../rebuild.py",
        "                undo.callback(feed_socket.close)\n",
        "",
    ),
    fault(
        "two domains of a seat share a place",
        "../rebuild.py",
        "        seat.generation += 1\n",
        "        seat.generation = 1\n",
    ),
    fault(
        "whoever lost its seat to a shadow runs on",
        "../recovery.py",
        "        self._begin(end(self.seats[seat], old))\n",
        "",
    ),
    fault(
        "since when a seat has no vote is not noted",
        "../recovery.py",
        "            self._lost_at.setdefault(notice.seat, time.monotonic())\n",
        "",
    ),
    fault(
        "a rebuild that failed is under way for ever",
        "../recovery.py",
        "        self._schedule.failed(seat.index, self._shell.clock.now())\n",
        "",
    ),
    fault(
        "the operator is not told that a rebuild failed",
        "../recovery.py",
        "        if asked is not None and not asked.done():\n            message",
        "        if asked is not None and asked.done():\n            message",
        first=RECOVERING_FROM + 10,
    ),
    fault(
        "rebuilds go on while all begin anew",
        "../recovery.py",
        "            task.cancel()\n        await asyncio.gather(*tasks, return_exceptions=True)\n",
        "            assert task\n",
        first=RECOVERING_FROM + 3,
    ),
    fault(
        "a seat that was left empty has always been so",
        "../recovery.py",
        "setdefault(seat.index, time.monotonic())\n        self._schedule.lost(seat.index, Why.CRASHED",
        "get(seat.index)\n        self._schedule.lost(seat.index, Why.CRASHED",
        first=RECOVERING_FROM + 22,
    ),
    fault(
        "after all began anew rebuilds are due no more",
        "../recovery.py",
        "        self._is_paused = self._is_over = False\n",
        "        self._is_over = False\n",
        first=RECOVERING_FROM + 58,
    ),
)


def main() -> int:
    """Print the table; returns how many survived."""
    return show(PLANTED_RECOVERY)


if __name__ == "__main__":
    sys.exit(main())
