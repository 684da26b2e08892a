"""The sweep: what writes changed is read, by vote, and told to the state store (docs/adr/0009-state-by-vote.md).

Theory of operation. A state read is a slot of the cell's own: every voting replica answers it, f+1 equal replies decide
it, and who differs is found out at that key. Changed keys are read in small chunks, one chunk at a time. When few are
left, all of them are read in consecutive slots. Nothing can change in between, so the state store then holds exactly
the state at the last of these slots: a *checkpoint*. A key that changes after it was read is noted anew.

This file knows neither replicas nor the store: it says which spans to order, and what follows for the store.
"""

from enum import Enum

from .changes import ALONE_BYTES, UNKNOWN, UNREADABLE, Change, Changes, Checkpoint, Clear, Part, StoreEffect
from .limits import Limits
from .protocol import Protocol
from .span import Span
from .unreadable import DEADLY, NO_STATE, TOO_LONG, Place, Unreadable

# While nobody waits for the checkpoint, reading takes this share of the time: 1 of 4.
IDLE_SHARES = 3
# How many times a checkpoint is tried for while keys turn out to hold something else than was thought, and from when
# on writers wait for it.
ROUNDS_MAX = 64
CALM_ROUNDS = 8
CHUNK_KEYS_FIRST = 16
# How often a chunk is doubled, at most, and which part of what a replica may owe one may have: 1 of 8.
HASTE_MAX = 16
LAG_SHARES = 8
# What all of a chunk may weigh at most, and what is read in one go at the end, in what a replica may owe: 1/2, and 2.
# So much a replica may have to keep beside the state.
CHUNK_SHARES = 2
CLOSING_TIMES = 2
PAUSE_NS_MAX = 100_000_000
# How many checkpoints in a row are tried for beside writers who change what nobody notes.
MISCOUNTS_MAX = 2
# Writers who are slowed down may change one key more for so many that are read.
CALM_SHARES = 2


class Stage(Enum):
    """What the sweep is doing."""

    RESTING = "resting"
    READING = "reading"
    COUNTING = "counting"
    LISTING = "listing"
    CLOSING = "closing"
    SEALING = "sealing"


class Sweep:
    """Reads the state of what `protocol.changes` notes, whenever a checkpoint is wanted.

    `effects` collects what follows for the store, in slot order.
    """

    def __init__(self, protocol: Protocol, limits: Limits) -> None:
        self._protocol = protocol
        self._limits = limits
        self._changes: Changes = protocol.changes
        self.stage = Stage.RESTING
        self.effects: list[StoreEffect] = []
        self.is_wanted = False
        self.is_urgent = False
        # Whether the store cannot take more at present.
        self.is_held = False
        # Whether the store is to be left at the next checkpoint that is begun from now on until `unseal`.
        self.is_sealing = False
        # Whether the one under way is such a checkpoint.
        self._will_seal = False
        self._unreadable = Unreadable()
        self.closing_slot = 0
        self.rounds = 0
        # How many checkpoints in a row were none, for the number of keys in them.
        self.miscounts = 0
        # Since when the next checkpoint is awaited, and since when the store has always been able to take more.
        self._awaited_since = 0
        self._unheld_since = 0
        # How many changed keys there may be, once that is for too long.
        self._changed_max = 0
        # Whether it is overdue, the databases listed since, and whether one of them was listed twice.
        self._is_overdue = False
        self._overdue_listed: dict[int, bool] = {}
        self._is_listed_twice = False
        # Until when clients stay stopped while the store cannot take more (ns; 0: none was), and whether they still do.
        self._patient_until = 0
        self._is_patient = True
        self._asked: dict[int, Span] = {}
        # How many keys are read by what was asked last.
        self._asked_keys = 0
        self._counting: list[tuple[int, Span]] = []
        # The databases that ever held a key, in the order of their coming.
        self._used: dict[int, bool] = {}
        self._counts: dict[int, int] = {}
        self._is_clean = True
        self._database = 0
        self._asked_at = 0
        self._not_before = 0
        self._chunk_keys = CHUNK_KEYS_FIRST
        self._keys_max = CHUNK_KEYS_FIRST * 2
        # How many keys were left at the last chunk, and how often they had not become fewer since the one before.
        self._left = 0
        self._haste = 0
        self._told_keys = 0
        self._told_bytes = 0
        self._settled_keys = 0

    # What is wanted.

    def want(self, is_urgent: bool) -> None:
        """Make a checkpoint; `is_urgent`: somebody waits for it."""
        if not self.is_wanted:
            self.rounds = self._left = self._haste = 0
            self._unreadable.is_told = False
            self._await()
        self.is_wanted = True
        self.is_urgent = self.is_urgent or is_urgent

    def miscounted(self, databases: list[int]) -> None:
        """The last one was none: the store had not as many keys of these databases as the replicas. All is read."""
        self.miscounts += 1
        for database in databases:
            self._changes.note_whole(database)
        self.want(is_urgent=True)

    def restart(self) -> None:
        """All replicas are new: what was asked is forgotten, and what was read is read again.

        What has changed since the last checkpoint is noted anew by who executes it again.
        """
        self._asked = {}
        self._counting = []
        self._unreadable.restart()
        self.effects = []
        self.stage = Stage.RESTING
        self.is_sealing = False

    def unseal(self, will_seal: bool) -> None:
        """The store may be told more; `will_seal`: until the next checkpoint."""
        self.is_sealing = will_seal
        self._await()
        self._will_seal = False
        if will_seal:
            self.want(is_urgent=True)
        if self.stage is Stage.SEALING:
            self.stage = Stage.RESTING

    def stop(self) -> None:
        """There is no store any more. What is asked already is answered all the same."""
        self.is_wanted = False
        self.is_urgent = False
        self.miscounts = 0
        self.unseal(will_seal=False)

    def _await(self) -> None:
        """A checkpoint is awaited from now on."""
        self._awaited_since = self._unheld_since = self._changed_max = 0
        self._is_overdue = self._is_listed_twice = False
        self._overdue_listed = {}

    def needs_calm(self, now: int) -> bool:
        """Whether writers must wait, where one is wanted: for too long they have changed keys as fast as they are read.

        From then on there may be fewer and fewer changed keys, half as many less as are read: so it comes to an end,
        and nobody waits for long. Where they change what nobody notes, have all of a database read anew, or make keys
        something else than was thought, again and again, they wait until there is one.
        """
        if self.stage is Stage.SEALING:
            # It is not the writers who are waited for.
            self._await()
            return False
        self._awaited_since = self._awaited_since or now
        self._is_overdue = self._is_overdue or now - self._awaited_since > self._wait_ns_max()
        self.is_urgent = self.is_urgent or self._is_overdue
        if self.miscounts >= MISCOUNTS_MAX or self._is_listed_twice or self.rounds >= CALM_ROUNDS:
            # Whoever is let in undoes all that was read. Were that so each time the store is slow, it would never end.
            return self._may_stop(now)
        if self.is_held:
            # Nor is it they here: a key that they change meanwhile is one more to be read, and no more.
            self._unheld_since = self._changed_max = 0
            return False
        self._unheld_since = self._unheld_since or now
        changes = self._changes
        if changes.whole:
            return self._is_overdue
        if now - self._unheld_since <= self._wait_ns_max():
            return False
        self._changed_max = self._changed_max or changes.count
        return changes.count >= self._changed_max

    def _wait_ns_max(self) -> int:
        """How long a checkpoint is awaited before writers are slowed down."""
        return self._limits.shadow_wait_ns_max if self.is_sealing else self._limits.checkpoint_wait_ns_max

    def _may_stop(self, now: int) -> bool:
        """Whether clients may be stopped: not for long where the store takes nothing, since its keeper may hang."""
        if not self.is_held:
            return True
        self._patient_until = self._patient_until or now + self._limits.checkpoint_wait_ns_max
        self._lose_patience(now)
        return self._is_patient

    def _lose_patience(self, now: int) -> None:
        self._is_patient = self._is_patient and not 0 < self._patient_until <= now

    def is_due(self, now: int) -> bool:
        """Whether there is something to order now."""
        self._lose_patience(now)
        return self._may_ask() and now >= self._not_before

    def next_deadline(self) -> int:
        """When to go on (ns), or 0: at no time."""
        if self._may_ask():
            return max(self._not_before, 1)
        return self._patient_until if self._is_patient else 0

    def _may_ask(self) -> bool:
        return self.is_wanted and not self.is_held and not self._asked and self.stage is not Stage.SEALING

    def is_sealed(self) -> bool:
        """Whether the store holds the state at `closing_slot`, and is told nothing more until `unseal`."""
        return self.stage is Stage.SEALING

    def is_closing(self) -> bool:
        """Whether what was to be ordered last ends with a checkpoint, if all goes well."""
        return self.stage is Stage.CLOSING

    @property
    def unreadable(self) -> dict[Place, str]:
        """The keys whose state cannot be read, with reasons. The empty key: which keys there are, and how many."""
        return self._unreadable.places

    def given_up(self) -> list[tuple[Place, str]]:
        """What was found unreadable since this was asked last, each with the reason."""
        return self._unreadable.found()

    # What is to be ordered.

    def next_spans(self, now: int) -> list[Span]:
        """The next state reads, to be ordered in consecutive slots; tell `asked` when they are."""
        changes = self._changes
        self._asked_at = now
        self._patient_until, self._is_patient = 0, True
        self._told_keys = self._told_bytes = self._settled_keys = 0
        if self.stage is Stage.LISTING:
            return [self._protocol.list_state(self._database)]
        if changes.whole:
            self.stage = Stage.COUNTING
            self._database = changes.take_whole()
            return [self._protocol.count_state(self._database)]
        if changes.count > self._closing_keys() or self._is_heavy():
            self.stage = Stage.READING
            self._haste += 0 < self._left <= changes.count
            self._left = changes.count
            weight_max = self._limits.lag_bytes_max // CHUNK_SHARES
            return self._reads(changes.take(self._hasty_keys(), weight_max), now)
        return self._closing_spans(now)

    def _reads(self, taken: list[Change], now: int) -> list[Span]:
        """Reads of these keys: of those that replicas may not survive, only whether there is anything."""
        self._asked_keys = len(taken)
        is_deadly = self._unreadable.is_deadly
        asked = [(place, key, UNKNOWN if is_deadly((place, key), now) else kind) for place, key, kind in taken]
        return self._protocol.read_state(asked)

    def _closing_spans(self, now: int) -> list[Span]:
        """All changed keys that are left, and how many keys each database has."""
        self.stage = Stage.CLOSING
        self._will_seal = self.is_sealing
        self._is_clean = True
        self._counts = {}
        self._counting = []
        taken = self._changes.take(self._changes.count, self._changes.weight)
        for database, _, _ in taken:
            self._used[database] = True
        for database in self._changes.hidden:
            self._used[database] = True
        spans = self._reads(taken, now)
        for database in self._used:
            span = self._protocol.count_state(database)
            self._counting.append((database, span))
            spans.append(span)
        return spans

    def _is_heavy(self) -> bool:
        """Whether the replicas' replies to all that is left might be too much for them to keep at once."""
        return self._changes.count > 1 and self._changes.weight > self._limits.lag_bytes_max * CLOSING_TIMES

    def _closing_keys(self) -> int:
        """How many keys may be read in one go, at the end."""
        return min(self._hasty_keys() * 2, self._keys_max)

    def _hasty_keys(self) -> int:
        """How many keys to read at once. More and more while writers change them as fast as they are read."""
        return min(self._chunk_keys << min(self._haste, HASTE_MAX), self._keys_max)

    def asked(self, spans: list[Span], last_slot: int) -> None:
        """These spans were ordered, up to `last_slot`."""
        self.closing_slot = last_slot
        for span in spans:
            self._asked[last_slot_of(span)] = span
        if not spans:
            self._finish(self._asked_at)

    # What the vote told.

    def is_asking(self, span: Span) -> bool:
        """Whether a span is one of ours."""
        return self._asked.get(last_slot_of(span)) is span

    def told(self, span: Span, first: int, count: int, data: bytes | None, now: int) -> None:
        """`count` slots of `span` from `first` on were decided as `data`.

        None: they were closed without a decision; nothing: the reply is over the limit.
        """
        if self.stage is Stage.COUNTING:
            self._counted(self._database, data)
        elif self.stage is Stage.LISTING:
            self._listed(data)
        else:
            self._read(span, first, count, data, now)
        if first + count == span.first + span.count:
            del self._asked[last_slot_of(span)]
            if not self._asked:
                self._finish(now)

    def _read(self, span: Span, first: int, count: int, data: bytes | None, now: int) -> None:
        for database, counting in self._counting:
            if counting is span:
                number = None if data is None else self._protocol.counted(data)
                self._is_clean = self._is_clean and number is not None
                self._counts[database] = number or 0
                self._unreadable.counted(database, is_decided=data is not None)
                return
        if data:
            for part in self._protocol.take_state(span, first, count, data):
                self._take(part, now)
            self._told_keys += count
            self._told_bytes += len(data)
            return
        self._is_clean = False
        for database, key, kind in self._protocol.state_asked(span, first, count):
            if data is None:
                # Perhaps it was more than the replicas could bear.
                self._changes.keep(database, key, kind, 0, ALONE_BYTES)
                self._unreadable.closed((database, key), self._asked_keys == 1, now)
            else:
                self._changes.found(database, key, self._limits.reply_bytes_max)
                self._unreadable.give_up((database, key), TOO_LONG)

    def _take(self, part: Part, now: int) -> None:
        place = (part.database, part.key)
        if not part.is_settled and self._unreadable.is_deadly(place, now):
            self._is_clean = False
            self._unreadable.give_up(place, DEADLY)
            return
        self._unreadable.read(place)
        if part.is_settled:
            self._settled_keys += 1
            self._unreadable.survived(place)
            self._changes.found(part.database, part.key, len(part.record or b""))
            self.effects.append(part)
            return
        self._is_clean = False
        if part.kind == UNREADABLE:
            self._unreadable.give_up(place, NO_STATE)
        else:
            self._changes.keep(part.database, part.key, part.kind)

    def _stop_wanting(self) -> None:
        self.is_wanted = False
        self.is_urgent = False
        self._unreadable.remind()

    def _stop_if_unreadable(self, database: int) -> None:
        """Where nobody can tell which keys there are it is not asked again and again."""
        if (database, b"") in self.unreadable:
            self._stop_wanting()

    def _counted(self, database: int, data: bytes | None) -> None:
        number = None if data is None else self._protocol.counted(data)
        self.stage = Stage.RESTING
        if number == 0:
            self._unreadable.counted(database, is_decided=True)
            self._clear(database)
        elif number is None:
            self._changes.keep_whole(database)
            if data is None:
                self._unreadable.counted(database, is_decided=False)
                self._stop_if_unreadable(database)
        else:
            self.stage = Stage.LISTING

    def _listed(self, data: bytes | None) -> None:
        names = None if data is None else self._protocol.listed(data)
        self.stage = Stage.RESTING
        self._unreadable.counted(self._database, is_decided=data is not None)
        if names is None:
            self._changes.keep_whole(self._database)
            if data is not None:
                self._unreadable.give_up((self._database, b""), "its keys are too many to be listed")
            self._stop_if_unreadable(self._database)
            return
        self._clear(self._database)
        self._used[self._database] = True
        # All these come at once, and no writer brought them. When it is overdue that is believed once.
        self._changed_max = 0
        self._is_listed_twice = self._is_listed_twice or self._database in self._overdue_listed
        if self._is_overdue:
            self._overdue_listed[self._database] = True
        for name in names:
            self._changes.keep(self._database, name, UNKNOWN)

    def _clear(self, database: int) -> None:
        """Nothing is known of this database any more, and nothing in it is unreadable."""
        self.effects.append(Clear(database))
        self._changes.emptied(database)
        self._unreadable.clear(database)

    # What follows.

    def _finish(self, now: int) -> None:
        """All that was asked is answered."""
        if self._told_keys:
            mean = self._told_bytes // self._told_keys + 1
            limits = self._limits
            self._chunk_keys = max(1, min(limits.sweep_bytes // mean, limits.sweep_keys_max))
            # However it hurries: no more than a slow replica may owe without being left behind.
            self._keys_max = max(2, min(limits.lag_bytes_max // LAG_SHARES // mean, limits.closing_keys_max))
        if self.stage is Stage.CLOSING:
            self._close(now)
        if self.stage is Stage.READING:
            self.stage = Stage.RESTING
        if self._changed_max:
            # Rounded up: where keys are so large that they are read one by one, that comes to an end as well.
            self._changed_max = max(self._changed_max - -(-self._settled_keys // CALM_SHARES), 1)
        pause = 0 if self.is_urgent else (now - self._asked_at) * IDLE_SHARES
        self._not_before = now + min(pause, PAUSE_NS_MAX)

    def _close(self, now: int) -> None:
        self._counting = []
        self.stage = Stage.RESTING
        self.rounds += 1
        if self.rounds > ROUNDS_MAX and not self.unreadable:
            reason = "keys kept turning out to hold something else than was thought"
            self._unreadable.report(self._changes.first() or (self._database, b""), reason)
        if self.unreadable or self.rounds > ROUNDS_MAX:
            self._stop_wanting()
        elif self._is_clean and not self._changes.whole:
            self._changes.all_read()
            self.rounds = 0
            self.effects.append(Checkpoint(self.closing_slot, self._counts))
            self.stage = Stage.SEALING if self._will_seal else Stage.RESTING
            # Whoever came while this one was under way needs another.
            self.is_wanted = self.is_urgent = self.is_sealing and not self._will_seal
            self._await()


def last_slot_of(span: Span) -> int:
    """The last slot of an ordered span; it stays the same while slots are decided from the front."""
    return span.first + span.count - 1
