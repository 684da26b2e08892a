"""What a seed chooses before anything happens: limits, faults, clients. Each run enables a random subset of the faults.

Also says what a correct replica is: one that answers within a quarter of the silence that the limits allow.
"""

from dataclasses import dataclass
from enum import Enum
from random import Random

from quorate.trusted.limits import Limits
from quorate.trusted.quorum import seats_for

from .timeline import MILLISECOND_NS, SECOND_NS


class Fault(Enum):
    """What a faulty replica may do."""

    LIE = "changes a reply"
    COLLUDE = "changes the replies that its accomplices change, alike"
    FORGET = "does not execute a write, and answers as if it had"
    CORRUPT = "changes its state silently"
    MUTE = "sends no more"
    CRASH = "its lane breaks"
    HALF = "its lane breaks inside a reply"
    LAG = "takes much longer for each request"
    FLOOD = "sends a reply without end"
    GARBAGE = "sends bytes that are no reply"
    TWICE = "sends a reply twice"
    UNASKED = "answers what nobody asked"
    DROP = "leaves out a reply"
    SWAP = "sends two replies in the wrong order"
    REFUSE = "refuses its lane's setup"
    DEAF = "takes no more requests from its lane"


class Phase(Enum):
    """How much a run may break."""

    WITHIN = "at most f replicas are faulty"
    BEYOND = "more than f replicas may be faulty"


@dataclass(frozen=True, slots=True)
class Character:
    """What is wrong with one replica: which faults, how often per request, from when on (ns after the start)."""

    faults: tuple[Fault, ...]
    rate: float
    begins_ns: int


@dataclass(frozen=True, slots=True)
class Swarm:
    """One seed's choice. Delays are in nanoseconds; `clock_offsets_ms` is how wrong each replica's clock is."""

    f: int
    phase: Phase
    limits: Limits
    characters: tuple[Character | None, ...]
    delays: tuple[int, ...]
    clock_offsets_ms: tuple[int, ...]
    callers: int
    rogues: int
    faulty_ns: int
    jumps: int
    chunk_bytes: int
    turn_ns: int


def draw_limits(chance: Random) -> Limits:
    """Small limits, so that short runs meet them."""
    silence = chance.choice((40, 100, 250)) * MILLISECOND_NS
    pending = chance.choice((4, 16, 64))
    slots = pending * chance.choice((1, 2, 8))
    reply_bytes = chance.choice((512, 2048, 65536))
    request_bytes = 4096
    flight = request_bytes * chance.choice((1, 2, 8))
    return Limits(
        clients_max=64,
        request_bytes_max=request_bytes,
        inline_bytes_max=1024,
        client_pending_max=pending,
        client_inbox_bytes_max=chance.choice((256, 4096)),
        client_output_bytes_max=reply_bytes * 2,
        clients_output_bytes_max=reply_bytes * 4,
        client_stall_ns_max=2 * silence,
        transaction_bytes_max=request_bytes,
        reply_bytes_max=reply_bytes,
        unordered_bytes_max=reply_bytes // chance.choice((1, 2)),
        inflight_slots_max=slots,
        inflight_bytes_max=flight,
        lag_slots_max=slots * chance.choice((1, 4)),
        lag_bytes_max=max(reply_bytes, flight) * chance.choice((1, 4)),
        lag_ns_max=3 * silence,
        throttle_ns_max=silence // 2,
        silence_ns_max=silence,
        decision_ns_max=4 * silence,
        attention_ns_max=silence // 4,
    )


def draw(seed: int) -> Swarm:
    """The choice of this seed: the same one on every machine."""
    chance = Random(f"swarm {seed}")
    f = chance.choice((1, 1, 2))
    seats = seats_for(f)
    limits = draw_limits(chance)
    phase = Phase.BEYOND if chance.random() < 0.2 else Phase.WITHIN
    faulty = chance.randint(f + 1, seats) if phase is Phase.BEYOND else chance.randint(0, f)
    enabled = [fault for fault in Fault if chance.random() < 0.4] or [chance.choice(list(Fault))]
    faulty_ns = chance.choice((1, 2)) * SECOND_NS // 2
    culprits = chance.sample(range(seats), faulty)
    characters = [_character(chance, enabled, faulty_ns) if seat in culprits else None for seat in range(seats)]
    slowest = limits.silence_ns_max // 16
    return Swarm(
        f=f,
        phase=phase,
        limits=limits,
        characters=tuple(characters),
        delays=tuple(chance.randint(10_000, slowest) for _ in range(seats)),
        clock_offsets_ms=tuple(chance.randint(-86_400_000, 86_400_000) for _ in range(seats)),
        callers=chance.randint(1, 6),
        rogues=chance.randint(0, 3),
        faulty_ns=faulty_ns,
        jumps=chance.choice((0, 0, 1, 3)),
        chunk_bytes=chance.choice((3, 40, 1000)),
        turn_ns=chance.choice((0, 20_000, 500_000)),
    )


def _character(chance: Random, enabled: list[Fault], faulty_ns: int) -> Character:
    faults = tuple(fault for fault in enabled if chance.random() < 0.5) or (chance.choice(enabled),)
    rate = chance.choice((0.003, 0.03, 0.3))
    return Character(faults, rate, chance.randint(0, faulty_ns // 2))
