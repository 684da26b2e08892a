"""What a seed chooses before anything happens: limits, faults, clients. Each run enables a random subset of the faults.

Also says what a correct replica is: one that answers within a quarter of the silence that the limits allow.
"""

from dataclasses import dataclass, replace
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
    MISREAD = "changes a reply to a read, and none to a write"
    STALL = "stands still for a while, then answers everything"


class Phase(Enum):
    """How much a run may break."""

    WITHIN = "at most f replicas are faulty"
    BEYOND = "more than f replicas may be faulty"


class Theme(Enum):
    """What a seed brings for certain, whatever else it draws: some things chance alone brings about too rarely."""

    ANY = "nothing"
    BRINK = "f replicas break while a correct one, which owes replies, stands still"
    EXCESS = "f replicas break while one more, which owes replies, lies"
    MISREAD = "a replica lies about reads, and late"
    CHATTER = "a replica says more than it was asked, where one client is alone"
    LIE = "a replica lies"
    SLEEP = "the machine stands still, several times, while replicas owe replies"
    BEHIND = "a replica stands still while clients read large values"


# The theme goes by the seed's number, so that any few seeds in a row hold them all.
THEMES = (
    Theme.BRINK,
    Theme.ANY,
    Theme.MISREAD,
    Theme.SLEEP,
    Theme.ANY,
    Theme.CHATTER,
    Theme.LIE,
    Theme.EXCESS,
    Theme.BEHIND,
)
# What the first culprit of a theme does; of other themes, each fault in turn.
THEME_FAULTS = {
    Theme.MISREAD: Fault.MISREAD,
    Theme.CHATTER: Fault.UNASKED,
    Theme.LIE: Fault.LIE,
    Theme.BEHIND: Fault.STALL,
}


@dataclass(frozen=True, slots=True)
class Crisis:
    """At `begins_ns` the replica of `seat` stands still, for `stalls_ns`; `breaks_ns` later the lanes of `lost` break.

    If `lies`, it answers with lies, afterwards, what it is asked until they break.
    """

    seat: int
    lost: tuple[int, ...]
    begins_ns: int
    breaks_ns: int
    stalls_ns: int
    lies: bool


@dataclass(frozen=True, slots=True)
class Character:
    """What is wrong with one replica: which faults, how often per request, from when on (ns after the start)."""

    faults: tuple[Fault, ...]
    rate: float
    begins_ns: int


@dataclass(frozen=True, slots=True)
class Swarm:
    """One seed's choice. Delays are in nanoseconds; `clock_offsets_ms` is how wrong each replica's clock is.

    `callers` to `rogues`, and `movers`, count clients, by what they come for. A caller asks so much ahead as one of the
    `windows`.
    """

    f: int
    theme: Theme
    phase: Phase
    limits: Limits
    characters: tuple[Character | None, ...]
    delays: tuple[int, ...]
    clock_offsets_ms: tuple[int, ...]
    crisis: Crisis | None
    windows: tuple[int, ...]
    callers: int
    listeners: int
    waiters: int
    takers: int
    scanners: int
    rogues: int
    faulty_ns: int
    jumps: int
    chunk_bytes: int
    turn_ns: int
    movers: int = 0


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
        attention_ns_max=silence // 16,
    )


def of_large_replies(limits: Limits) -> Limits:
    """Much may be under way, and be told to clients, and little be owed in bytes."""
    return replace(
        limits,
        client_pending_max=64,
        client_output_bytes_max=262_144,
        clients_output_bytes_max=524_288,
        reply_bytes_max=4096,
        unordered_bytes_max=4096,
        inflight_slots_max=512,
        inflight_bytes_max=4096,
        lag_slots_max=2048,
        lag_bytes_max=4096,
    )


def draw(seed: int) -> Swarm:
    """The choice of this seed: the same one on every machine."""
    chance = Random(f"swarm {seed}")
    theme = THEMES[seed % len(THEMES)]
    f = chance.choice((1, 1, 2))
    seats = seats_for(f)
    limits = draw_limits(chance)
    if theme is Theme.BEHIND:
        limits = of_large_replies(limits)
    faulty_ns = chance.choice((1, 2)) * SECOND_NS // 2
    if theme is Theme.BEHIND:
        # There is enough to do.
        faulty_ns = SECOND_NS // 2
    phase = _phase(chance, theme)
    crisis = _crisis(chance, theme, f, limits.silence_ns_max, faulty_ns)
    characters = _characters(chance, seed, phase, f, faulty_ns)
    callers, listeners, waiters, takers, scanners, rogues = _clients(chance, theme)
    return Swarm(
        f=f,
        theme=theme,
        phase=phase,
        limits=limits,
        characters=characters,
        delays=_delays(chance, theme, characters, limits.silence_ns_max // 16),
        clock_offsets_ms=tuple(chance.randint(-86_400_000, 86_400_000) for _ in range(seats)),
        crisis=crisis,
        windows={Theme.CHATTER: (1,), Theme.BEHIND: (100,)}.get(theme, (1, 10, 100)),
        callers=callers,
        listeners=listeners,
        waiters=waiters,
        takers=takers,
        scanners=scanners,
        rogues=rogues,
        faulty_ns=faulty_ns,
        jumps=_jumps(chance, theme),
        chunk_bytes=chance.choice((3, 40, 1000)),
        turn_ns=chance.choice((0, 20_000, 500_000)),
        movers=3 if theme is Theme.BEHIND else 0,
    )


def _clients(chance: Random, theme: Theme) -> tuple[int, ...]:
    """How many callers, listeners, waiters, takers, scanners and rogues there are."""
    if theme is Theme.CHATTER:
        return 1, 0, 0, 0, 0, 0
    some = (chance.choice(counts) for counts in ((0, 1, 2), (0, 1, 3, 4), (0, 1, 2), (0, 1)))
    return chance.randint(1, 6), *some, chance.randint(0, 3)


def _delays(chance: Random, theme: Theme, characters: tuple[Character | None, ...], slowest: int) -> tuple[int, ...]:
    delays = [chance.randint(10_000, slowest) for _ in characters]
    if theme is Theme.CHATTER:
        return tuple(delay // 8 for delay in delays)
    if theme is Theme.MISREAD:
        return tuple(slowest if character else delay // 4 for character, delay in zip(characters, delays, strict=True))
    if theme is Theme.SLEEP:
        return tuple(slowest if seat % 2 else delay // 4 for seat, delay in enumerate(delays))
    return tuple(delays)


def _phase(chance: Random, theme: Theme) -> Phase:
    if theme is Theme.EXCESS or (theme not in (Theme.BRINK, Theme.CHATTER, Theme.SLEEP) and chance.random() < 0.15):
        return Phase.BEYOND
    return Phase.WITHIN


def _jumps(chance: Random, theme: Theme) -> int:
    if theme is Theme.SLEEP:
        return 6
    return 0 if theme in (Theme.BRINK, Theme.EXCESS) else chance.choice((0, 0, 1, 3))


def _crisis(chance: Random, theme: Theme, f: int, silence: int, faulty_ns: int) -> Crisis | None:
    """The lanes break before the one that stands still is retired for holding others up, and while it owes replies.

    It goes on before the slots that wait for it are given up.
    """
    if theme not in (Theme.BRINK, Theme.EXCESS):
        return None
    seat, *lost = chance.sample(range(seats_for(f)), f + 1)
    begins = chance.randint(faulty_ns // 10, faulty_ns // 2)
    breaks = chance.randint(silence // 8, silence * 3 // 8)
    stalls = chance.randint(silence * 5 // 4, silence * 2)
    return Crisis(seat, tuple(lost), begins, breaks, stalls, theme is Theme.EXCESS)


def _characters(chance: Random, seed: int, phase: Phase, f: int, faulty_ns: int) -> tuple[Character | None, ...]:
    """Who is faulty. The first culprit has one fault, which is sure to come in its turn; others have several."""
    theme = THEMES[seed % len(THEMES)]
    seats = seats_for(f)
    if theme in (Theme.BRINK, Theme.EXCESS):
        return (None,) * seats
    faulty = chance.randint(f + 1, seats) if phase is Phase.BEYOND else chance.choice((f, f, f, 0))
    if theme in THEME_FAULTS:
        faulty = max(faulty, 1)
    if theme is Theme.SLEEP:
        faulty = min(faulty, f - 1)  # with f of them gone, nobody can be left behind, and none owes replies
    enabled = [fault for fault in Fault if chance.random() < 0.4] or [chance.choice(list(Fault))]
    culprits = chance.sample(range(seats), faulty)
    characters = [_character(chance, enabled, faulty_ns) if seat in culprits else None for seat in range(seats)]
    if culprits and (theme in THEME_FAULTS or chance.random() < 0.5):
        principal = THEME_FAULTS.get(theme) or list(Fault)[(seed + seed // len(THEMES)) % len(Fault)]
        rate = chance.choice((0.1, 0.3) if theme is Theme.CHATTER else (0.01, 0.1))
        rate = 0.02 if theme is Theme.BEHIND else rate
        characters[culprits[0]] = Character((principal,), rate, 0)
    return tuple(characters)


def _character(chance: Random, enabled: list[Fault], faulty_ns: int) -> Character:
    faults = tuple(fault for fault in enabled if chance.random() < 0.5) or (chance.choice(enabled),)
    rate = chance.choice((0.003, 0.01, 0.03, 0.3))
    return Character(faults, rate, chance.randint(0, faulty_ns // 2))
