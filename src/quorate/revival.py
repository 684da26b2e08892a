"""Revival: a request left too few replicas that answer, or a write was left undecided. All replicas begin anew.

Ring 1. That is nobody's fault but the request's (design: "Poison"). What was under way is closed and buried: its owner
is told an error, and no replica executes it again. Then every seat gets a new replica, which is given the last
checkpoint and executes what was decided after it: f+1 of them are enough to go on with. Clients wait meanwhile. Where
that fails too, the cell is lost: it halts, or answers errors and tries again, as it was configured to.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine

from .facts import Fact, JournalSuspected, RevivalBegan, RevivalEnded
from .journaling import Journaling
from .keeping import StateKeeping
from .recovery import Recovery, end
from .refill import Newcomer, Refill
from .restart import Disagreement
from .state.faults import StateFault
from .state.rows import name_of
from .suspects import TIMES_MIN, Suspects
from .trusted.errors import OperatorFault
from .trusted.messages import Notice, QuorumLost, Role, StateUnreadable, Undecided
from .trusted.shell import Shell
from .trusted.unreadable import DISAGREED

REVIVAL_SECONDS_MAX = 600.0
# After one revival the next waits a little, and each further one twice as long; a steady time forgets them.
WAIT_SECONDS_FIRST = 0.25
WAIT_SECONDS_MAX = 30.0
STEADY_SECONDS = 60.0
# A cell that is lost waits so long before it is tried again, and each further time twice as long.
LOST_SECONDS_FIRST = 1.0
LOST_SECONDS_MAX = 60.0
# So long after they began anew because of what they held they do not for that again: it is their variants' doing.
HEALING_SECONDS = 600.0
POLL_SECONDS = 0.01

DEADLY = (
    "the replicas do not survive slot {0} of the journal, to which they had agreed before: "
    "docs/recovery.md says when to start with --leave-out {0}"
)
LOST_HINT = "docs/recovery.md says what each reason means"


class Revival:
    """Begins all replicas anew when that is called for. It does nothing before `arm`.

    `is_persistent`: where it fails it is tried again. `count` is how often all were begun anew, `fault` why they could
    not be, while they cannot. `suspects` is what of the journal may be why they begin anew again and again.
    """

    def __init__(
        self,
        shell: Shell,
        keeping: StateKeeping,
        journaling: Journaling,
        recovery: Recovery,
        refill: Refill,
        begin: Callable[[Coroutine[None, None, None]], object],
        on_fact: Callable[[Fact], None],
        is_persistent: bool,
    ) -> None:
        self.count = 0
        self.fault = ""
        self.suspects = Suspects()
        self._is_armed = False
        self._is_busy = False
        self._shell = shell
        self._core = shell.core
        self._keeping = keeping
        self._journaling = journaling
        self._recovery = recovery
        self._refill = refill
        self._begin = begin
        self._on_fact = on_fact
        self._is_persistent = is_persistent
        # When the replicas had executed the journal again, and whether all that it changed was read since.
        self._ended_at = 0.0
        self._is_read = True
        self._wait_seconds = 0.0
        self._healed_at = 0.0
        # How many times in a row all began anew, since the checkpoint of which slot, and how long they lived last.
        self._times = 0
        self._checkpoint_slot = 0
        self._lived_seconds = 0.0

    async def replay(self) -> bool:
        """At the start: execute again what the journal holds. Whether there was any. Raises `OperatorFault`.

        Where the replicas do not agree on it, or do not survive it, all begin anew once, and it is executed one by one:
        either it goes well now, or the operator is told the slot. Nothing is buried here: whether anybody was told of
        its success the journal does not know.
        """
        self._core.is_suspended = True
        began_at = time.monotonic()
        try:
            replayed = await self._journaling.begin(self._keeping.keeper())
        except Disagreement as fault:
            self._on_fact(RevivalBegan(str(fault)))
            await self._begin_anew()
            replayed = await self._journaling.begin(self._keeping.keeper(), fault.begins)
            self._recovery.go_on()
            self.count += 1
            self._note_beginning(began_at)
            self._ended_at = time.monotonic()
            self._on_fact(RevivalEnded(self._ended_at - began_at))
        self._is_read = not replayed
        self._core.resume(self._shell.now())
        return replayed

    def arm(self) -> None:
        """Whatever calls for it is seen to from now on; and at once, if too few outlived what the start waited for.

        That was told when nobody listened, and is not told twice.
        """
        self._is_armed = True
        if self._core.is_lost:
            self.noticed(QuorumLost(self._core.vote.voters(), self._shell.now()))

    async def read(self) -> None:
        """At the start: until what was executed again is read. Raises `OperatorFault` where the cell is lost over it.

        With a cell that is lost nothing is read any more, and nobody is served yet who could be told.
        """
        reading = asyncio.ensure_future(self._keeping.read())
        try:
            while not (reading.done() or self.fault):
                await asyncio.wait((reading,), timeout=POLL_SECONDS)
            if self.fault:
                raise OperatorFault(self.fault, LOST_HINT)
            await reading
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        self._is_read = True

    async def _begin_anew(self) -> None:
        """All replicas are new ones, and hold the last checkpoint."""
        self._suspend()
        await self._recovery.clear()
        await self._refill.take_seats(await self._refill.prepare())

    def _suspend(self) -> None:
        self._core.suspend(self._shell.now())
        self._recovery.all_lost()
        self._shell.schedule()

    def noticed(self, notice: Notice) -> None:
        """Something happened in the core: at once, before anything else is asked, see whether this is called for."""
        reason = calls_for(notice)
        if not reason or not self._is_armed or self._is_busy or not self._keeping.has_state:
            return
        if isinstance(notice, StateUnreadable) and not self._may_heal():
            return
        self._is_busy = True
        self._suspend()
        self._begin(self._revive(reason))

    def _may_heal(self) -> bool:
        """Whether to begin anew for what the replicas hold alone, while they serve: not where nothing would be better.

        Without a journal that would lose what was written. And new replicas which soon do not agree either will not.
        """
        now = time.monotonic()
        if self._journaling.file is None or (self._healed_at and now - self._healed_at < HEALING_SECONDS):
            return False
        self._healed_at = now
        return True

    async def _revive(self, reason: str) -> None:
        began_at = time.monotonic()
        self._on_fact(RevivalBegan(reason))
        self._note_beginning(began_at)
        await self._recovery.clear()
        await asyncio.sleep(self._wait_seconds)
        seconds = LOST_SECONDS_FIRST
        while fault := await self._try():
            self._lose(fault)
            self._on_fact(RevivalEnded(time.monotonic() - began_at, fault))
            if not self._is_persistent:
                return
            await asyncio.sleep(seconds)
            seconds = min(2 * seconds, LOST_SECONDS_MAX)
        self.fault = ""
        self._core.is_unread = True
        self._core.resume(self._shell.now())
        self._recovery.go_on()
        self.count += 1
        count = self.count
        self._ended_at = time.monotonic()
        self._is_read = self._is_busy = False
        self._shell.schedule()
        await self._keeping.read()
        if self._is_busy or self.count > count:
            return  # they begin anew once more, and that is not the end of it
        self._core.is_unread = False
        self._is_read = True
        self._core.resume(self._shell.now())
        self._shell.schedule()
        self._ended_at = time.monotonic()
        self._on_fact(RevivalEnded(self._ended_at - began_at))

    def _note_beginning(self, began_at: float) -> None:
        """All begin anew. Soon after the last time they wait first; without a checkpoint between, it is in a row."""
        is_soon = bool(self._ended_at) and began_at - self._ended_at <= STEADY_SECONDS
        self._wait_seconds = min(2 * self._wait_seconds or WAIT_SECONDS_FIRST, WAIT_SECONDS_MAX) if is_soon else 0.0
        if not is_soon or self._checkpoint_slot != self._keeping.checkpoint_slot:
            self._times = 0
            self.suspects.clear()
        self._times += 1
        self._checkpoint_slot = self._keeping.checkpoint_slot
        self._lived_seconds = began_at - self._ended_at

    async def _try(self) -> str:
        """Begin all replicas anew. Why that cannot be, or nothing. A cell that is lost answers errors till the end."""
        try:
            async with asyncio.timeout(REVIVAL_SECONDS_MAX):
                self._journaling.require()
                while not await self._has_begun_anew():
                    self._suspend()
        except (OperatorFault, OSError, TimeoutError) as error:
            return str(error) or "it took too long"
        return ""

    async def _has_begun_anew(self) -> bool:
        """All replicas are new ones, and executed the journal again. Or not yet, and fewer slots are suspected now."""
        newcomers = await self._prepare()
        if not self._core.is_suspended:
            self._core.suspend(self._shell.now())
        await self._refill.take_seats(newcomers)
        keeper = self._keeping.keeper()
        self._suspect(keeper.checkpoint.slot)
        try:
            await self._journaling.again(keeper, self.suspects)
        except Disagreement as fault:
            self._times += 1
            self._is_read = False
            if self.suspects.narrow(fault.part):
                self._tell_suspects()
                return False
            if fault.part is None:
                self.suspects.absolve()
                raise
            raise OperatorFault(DEADLY.format(fault.part[0])) from fault
        self.suspects.absolve()
        return True

    def _suspect(self, checkpoint: int) -> None:
        """Where all began anew several times in a row: all of the journal behind this checkpoint, if there is any.

        Not where clients were served meanwhile: then it may be one of them who asks the same again and again.
        """
        first, last = checkpoint + 1, self._journaling.last_slot
        if self._times >= TIMES_MIN and first <= last and not (self.suspects or self._is_read):
            self.suspects.suspect(first, last, self._lived_seconds)
            self._tell_suspects()

    def _tell_suspects(self) -> None:
        self._on_fact(JournalSuspected(self.suspects.first, self.suspects.last, self._times))

    async def _prepare(self) -> list[Newcomer]:
        """New replicas with the last checkpoint. Where the keeper ends meanwhile, the next one fills them."""
        while True:
            # Whoever settles may come to end the keeper.
            await self._keeping.settle()
            await self._keeping.kept()
            keeper = self._keeping.keeper()
            try:
                return await self._refill.prepare()
            except StateFault:
                if keeper.fault is None:
                    raise

    def _lose(self, fault: str) -> None:
        """The cell is lost, for now at least, because of this."""
        self.fault = fault
        self._core.is_unread = False
        if self._core.is_suspended:
            self._core.lose(self._shell.now())
        self._end_all()
        self._recovery.give_up()
        self._keeping.refused("fewer than f+1 replicas vote")
        self._shell.schedule()

    def _end_all(self) -> None:
        """Whatever became of the new replicas: none of them will ever be asked anything."""
        for seat in self._recovery.seats:
            if self._core.roles[seat.index] is Role.VOTING:
                self._core.replica_stopped(seat.index, self._shell.now())
                continue
            seat.retire()
            seat.cause = seat.cause or "it could not be begun anew"
            self._begin(end(seat, seat.domain))


def calls_for(notice: Notice) -> str:
    """Why what happened calls for all replicas to begin anew, or nothing."""
    if isinstance(notice, QuorumLost):
        return f"{notice.voters} replicas are left to vote"
    if isinstance(notice, StateUnreadable) and notice.reason == DISAGREED:
        return f"the replicas do not agree on what they hold: {name_of(notice.database, notice.key)}"
    if isinstance(notice, Undecided) and notice.is_write:
        return f"the replicas split over a write, slot {notice.slot}"
    if isinstance(notice, Undecided) and not notice.is_split:
        return f"too few replicas answered slot {notice.slot}"
    return ""
