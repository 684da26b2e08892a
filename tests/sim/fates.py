"""What a seed chooses for a run in which replicas are rebuilt and the cell begins anew.

Kinds go by the seed's number, so that any few seeds in a row hold them all.
"""

from dataclasses import dataclass
from enum import Enum
from random import Random

from quorate.trusted.limits import Limits
from quorate.trusted.quorum import seats_for
from quorate.trusted.recover import Strategy
from tests.sim.swarm import Character, Fault, Phase, Swarm, Theme
from tests.sim.timeline import MILLISECOND_NS, SECOND_NS


class Kind(Enum):
    """What happens in a run, beside clients."""

    PLANNED = "replicas are rebuilt by plan"
    REACTIVE = "up to f replicas are faulty, and what comes in their place may be too"
    KILLED = "all processes are killed, several times"
    POISONED = "a request breaks f+1 replicas"
    EXCESS = "more than f replicas are faulty"


KINDS = tuple(Kind)
POISONS = (b"crash", b"hang", b"split")


@dataclass(frozen=True, slots=True)
class Fate:
    """One seed's choice. Moments and periods are in nanoseconds from the beginning; a period of 0 is never.

    `slowness` multiplies what the keeper takes. `poisons` are moments and what the request does. `rotten` is how often
    a replica that comes to a culprit's seat is faulty too. A `habit` is what all of these do, and how often: liars
    about reads are rebuilt by plan before they are convicted. `boot_fails` is how often one does not become ready.
    `losses` are moments from which on f replicas are to crash while nothing is rebuilt: a restart by plan that is due
    then would take the quorum. The disk is full between the two moments of `full`, and the first sync that ends after
    `sync_fails_ns` fails. At the moments of `keeper_breaks` the keeper ends, and another one is tried for after
    `renewal_seconds`, and again after twice that. `refill_fails` is how often, when all begin anew, some seats' new
    replicas come to nothing, those of as many seats as may be faulty at once; if that `fails_slowly` the others do not
    wait for them. A revival that fails is tried again where it `is_persistent`, and then the first ones do fail, as
    `tries_fail` has it: too few replicas boot, or too few survive what is executed again. At the moments of `asks` the
    operator asks for rebuilds.
    """

    kind: Kind
    sync: str
    strategy: Strategy
    every_ns: int
    checkpoint_ns: int
    scrub_ns: int
    slowness: int
    boot_ns: int
    kills: tuple[int, ...]
    keeper_breaks: tuple[int, ...]
    renewal_seconds: float
    poisons: tuple[tuple[int, bytes], ...]
    rotten: float
    habit: tuple[Fault, float] | None
    boot_fails: float
    losses: tuple[int, ...]
    stalls: bool
    full: tuple[int, ...]
    sync_fails_ns: int
    refill_fails: float
    fails_slowly: bool
    is_persistent: bool
    tries_fail: tuple[str, ...]
    asks: tuple[int, ...]


def draw_fate(seed: int) -> Fate:
    """The choice of this seed."""
    chance = Random(f"fate {seed}")
    kind = KINDS[seed % len(KINDS)]
    sync = chance.choice(("always", "always", "interval", "off"))
    if kind is Kind.KILLED and sync == "off":
        sync = "interval"
    kills = tuple(sorted(chance.randint(50, 500) * MILLISECOND_NS for _ in range(chance.choice((1, 2, 3)))))
    poisons = tuple((chance.randint(50, 300) * MILLISECOND_NS, chance.choice(POISONS)) for _ in range(2))
    may_be_killed = kind is Kind.KILLED or (kind is Kind.POISONED and sync == "always" and chance.random() < 0.5)
    is_plain = kind in (Kind.PLANNED, Kind.REACTIVE)
    strategies = (Strategy.SHADOW, Strategy.SHADOW_ALL, Strategy.NONE)
    if kind is Kind.PLANNED:
        strategies = (Strategy.SHADOW, Strategy.SHADOW_ALL, Strategy.RESTART)
    strategy = chance.choice(strategies)
    has_losses = strategy is Strategy.RESTART and chance.random() < 0.7
    habit = _habit(chance) if kind is Kind.REACTIVE and chance.random() < 0.8 else None
    if habit is not None:
        strategy = Strategy.SHADOW_ALL
    fails = Random(f"disk {seed}")
    renewal = Random(f"renewal {seed}")
    is_persistent = renewal.random() < 0.5
    return Fate(
        kind=kind,
        sync=sync,
        strategy=strategy,
        every_ns=chance.choice(_periods(has_losses, habit is not None)) * MILLISECOND_NS,
        checkpoint_ns=chance.choice((20, 60, 200)) * MILLISECOND_NS,
        scrub_ns=chance.choice((0, 100 * MILLISECOND_NS)),
        slowness=chance.choice((1, 1, 4)) if habit is None else 1,
        boot_ns=chance.choice((1, 50)) * MILLISECOND_NS,
        kills=kills if may_be_killed else (),
        keeper_breaks=(*_break(chance, is_plain), *_breaks(renewal, kind, poisons)),
        renewal_seconds=renewal.choice((0.002, 0.02, 0.1)),
        poisons=poisons[: chance.choice((1, 2))] if kind is Kind.POISONED else (),
        rotten=chance.choice((0.0, 0.5)) if habit is None else 1.0,
        habit=habit,
        boot_fails=0.6 if has_losses else 0.1,
        losses=tuple(fails.randint(20, 500) * MILLISECOND_NS for _ in range(3)) if has_losses else (),
        stalls=chance.random() < 0.3,
        full=_full(fails) if is_plain and fails.random() < 0.3 else (),
        sync_fails_ns=fails.randint(50, 500) * MILLISECOND_NS if kind is Kind.KILLED and sync != "off" else 0,
        refill_fails=renewal.choice((0.0, 0.5, 1.0)),
        fails_slowly=renewal.random() < 0.5,
        is_persistent=is_persistent,
        tries_fail=_tries(renewal) if is_persistent and kind is Kind.POISONED else (),
        asks=() if has_losses else _asks(Random(f"operator {seed}")),
    )


def _asks(chance: Random) -> tuple[int, ...]:
    """When the operator asks for rebuilds, if he does."""
    return tuple(chance.randint(10, 550) * MILLISECOND_NS for _ in range(chance.choice((0, 0, 1, 2))))


def _periods(has_losses: bool, has_habit: bool) -> tuple[int, ...]:
    """How often replicas may be rebuilt by plan (ms). Where some are to crash between two restarts there is time to."""
    if has_habit:
        return (50,)
    return (250, 500, 500) if has_losses else (100, 250, 500)


def _tries(chance: Random) -> tuple[str, ...]:
    """How the first revivals fail."""
    return tuple(chance.choice(("boot", "replay")) for _ in range(chance.choice((0, 1, 2))))


def _break(chance: Random, is_plain: bool) -> tuple[int, ...]:
    """When the keeper breaks in a run in which nothing else does, if it does."""
    return (chance.randint(100, 500) * MILLISECOND_NS,) if is_plain and chance.random() < 0.1 else ()


def _breaks(chance: Random, kind: Kind, poisons: tuple[tuple[int, bytes], ...]) -> tuple[int, ...]:
    """When else it breaks: shortly before all begin anew, perhaps, who then wait for another."""
    count = chance.choice((0, 0, 1, 2))
    moments = [chance.randint(30, 550) * MILLISECOND_NS for _ in range(count)]
    if count and kind is Kind.POISONED:
        moments[0] = max(poisons[0][0] - chance.randint(1, 20) * MILLISECOND_NS, 0)
    return tuple(sorted(moments))


def _habit(chance: Random) -> tuple[Fault, float]:
    if chance.random() < 0.6:
        return Fault.MISREAD, chance.choice((0.02, 0.02, 0.5))
    return Fault.LIE, chance.choice((0.1, 0.3))


def _full(chance: Random) -> tuple[int, ...]:
    """From when until when the disk has no room, or nothing."""
    begins = chance.randint(50, 400)
    return begins * MILLISECOND_NS, (begins + chance.choice((20, 100))) * MILLISECOND_NS


def draw_limits(chance: Random) -> Limits:
    """Small limits, but for what one reply may have: a key that cannot be read is another test's."""
    silence = chance.choice((40, 100)) * MILLISECOND_NS
    slots = chance.choice((16, 64, 256))
    reply_bytes = chance.choice((4096, 16384, 65536))
    return Limits(
        clients_max=64,
        request_bytes_max=4096,
        inline_bytes_max=1024,
        client_pending_max=16,
        client_inbox_bytes_max=4096,
        client_output_bytes_max=reply_bytes * 2,
        clients_output_bytes_max=reply_bytes * 4,
        client_stall_ns_max=2 * silence,
        transaction_bytes_max=4096,
        reply_bytes_max=reply_bytes,
        unordered_bytes_max=reply_bytes,
        inflight_slots_max=slots,
        inflight_bytes_max=chance.choice((8192, 32768)),
        lag_slots_max=slots * chance.choice((2, 8)),
        lag_bytes_max=reply_bytes * chance.choice((1, 2, 4)),
        lag_ns_max=3 * silence,
        throttle_ns_max=silence // 2,
        silence_ns_max=silence,
        decision_ns_max=4 * silence,
        attention_ns_max=silence // 16,
        changes_bytes_max=chance.choice((1500, 4000, 1_000_000)),
        sweep_keys_max=chance.choice((2, 32)),
        closing_keys_max=chance.choice((4, 64)),
        checkpoint_wait_ns_max=100 * MILLISECOND_NS,
        shadow_wait_ns_max=20 * MILLISECOND_NS,
        scrub_keys_max=10,
        rebuild_retry_ns_max=SECOND_NS // 2,
    )


def draw_swarm(seed: int) -> Swarm:
    """Clients, limits and first culprits of a run of this seed's kind."""
    fate = draw_fate(seed)
    chance = Random(f"recovery {seed}")
    # Liars about reads meet where there are two.
    f = chance.choice((1, 1, 2) if fate.habit is None or fate.habit[0] is Fault.LIE else (1, 2, 2))
    seats = seats_for(f)
    limits = draw_limits(chance)
    is_plain = fate.kind in (Kind.PLANNED, Kind.REACTIVE)
    return Swarm(
        f=f,
        theme=Theme.ANY,
        phase=Phase.BEYOND if fate.kind is Kind.EXCESS else Phase.WITHIN,
        limits=limits,
        characters=_characters(chance, fate, f),
        delays=tuple(chance.randint(10_000, limits.silence_ns_max // 32) for _ in range(seats)),
        clock_offsets_ms=tuple(chance.randint(-86_400_000, 86_400_000) for _ in range(seats)),
        crisis=None,
        windows=(1, 10),
        callers=chance.randint(1, 3),
        listeners=chance.choice((0, 1)) if is_plain else 0,
        # They do not know what to make of a refusal.
        waiters=chance.choice((0, 2)) if is_plain and not fate.full else 0,
        takers=chance.choice((0, 1)) if is_plain and not fate.full else 0,
        scanners=0,
        rogues=chance.choice((0, 1)),
        faulty_ns=600 * MILLISECOND_NS,
        jumps=0,
        chunk_bytes=chance.choice((60, 1000, 1000)),
        turn_ns=chance.choice((0, 20_000, 500_000)),
        movers=chance.choice((0, 1)),
    )


def _characters(chance: Random, fate: Fate, f: int) -> tuple[Character | None, ...]:
    counts = {Kind.REACTIVE: (f,), Kind.KILLED: (0, f), Kind.EXCESS: range(f + 1, seats_for(f) + 1)}
    count = chance.choice(counts.get(fate.kind, (0,)))
    culprits = chance.sample(range(seats_for(f)), count)
    return tuple(draw_character(chance, fate) if seat in culprits else None for seat in range(seats_for(f)))


def draw_character(chance: Random, fate: Fate) -> Character:
    """What is wrong with a faulty replica."""
    if fate.habit is not None:
        fault, rate = fate.habit
        return Character((fault,), rate, 0)
    faults = tuple(chance.sample(list(Fault), chance.choice((1, 1, 3))))
    return Character(faults, chance.choice((0.003, 0.01, 0.1)), chance.randint(0, 300 * MILLISECOND_NS))
