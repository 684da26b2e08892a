"""Chance and hash order taken from the replicas: they give the whole collection in canonical order; the choice is ours.

    SRANDMEMBER, ZRANDMEMBER, HRANDFIELD, RANDOMKEY    one slot that reads all; the coordinator draws
    HKEYS, HVALS                                       one slot that reads all fields, so that both have one order
    SPOP                                               two slots: read the members, then remove the drawn ones

SPOP takes place at the slot that removes. A member that somebody else took between the two slots is drawn anew.
"""

from ...span import Effect
from .arguments import INTEGER_MAX, INTEGER_MIN, integer_argument
from .base import Call, Chance, Compiled, Compiler, Dialect, Planner, Transform
from .framing import encode_request
from .order_free import Unordered
from .plan import plain, together
from .session import Session
from .values import ONE, aggregate, array, elements, error, is_error, null, payload, value_end

_TOO_MANY = error("ERR quorate: too many random elements at once (limit sample_max)")
# What an SREM has beside its key and the member.
_REMOVAL_BYTES = 32
_TOO_LARGE = error("ERR quorate: the reply is over the limit (reply_bytes_max)")


def draw(chance: Chance, size: int, count: int) -> list[int]:
    """`count` different positions below `size`, in random order."""
    positions = list(range(size))
    for index in range(count):
        other = index + chance.below(size - index)
        positions[index], positions[other] = positions[other], positions[index]
    return positions[:count]


class Sample(Unordered):
    """A random choice from the collection that the reply holds, in groups of `stride`: the element, and its value if 2.

    `count` is None for one element, positive for different ones, negative for independent draws. `is_paired` says that
    values are told too.
    """

    def __init__(self, stride: int, protocol: int, count: int | None, is_paired: bool) -> None:
        super().__init__(stride)
        self._protocol = protocol
        self._count = count
        self._is_paired = is_paired

    def tell(self, reply: bytes, dialect: Dialect, now: int, effects: list[Effect]) -> bytes:
        """What was drawn."""
        if is_error(reply):
            return reply
        groups = self.groups(reply)
        if self._count is None:
            return groups[dialect.chance.below(len(groups))][0] if groups else null(self._protocol)
        if not groups or self._count >= len(groups):
            return self._shape(groups)
        if abs(self._count) > dialect.limits.sample_max:
            return _TOO_MANY
        if self._count > 0:
            chosen = [groups[position] for position in draw(dialect.chance, len(groups), self._count)]
        else:
            chosen = [groups[dialect.chance.below(len(groups))] for _ in range(-self._count)]
        if sum(len(part) for group in chosen for part in group) > dialect.limits.reply_bytes_max:
            return _TOO_LARGE
        return self._shape(chosen)

    def groups(self, reply: bytes) -> list[list[bytes]]:
        """The elements, each with its value if it has one."""
        parts = elements(reply)
        stride = self._stride
        return [parts[start : start + stride] for start in range(0, len(parts), stride)]

    def _shape(self, chosen: list[list[bytes]]) -> bytes:
        if not self._is_paired:
            return array([group[0] for group in chosen])
        if self._protocol == 3:
            return array([array(group) for group in chosen])
        return array([part for group in chosen for part in group])


class SampleOfRanked(Sample):
    """The same from a sorted set: replicas agree on its order already; in RESP3 member and score come as arrays."""

    is_exact = True

    def canonical(self, reply: bytes) -> bytes:
        """The reply as it came."""
        return reply

    def groups(self, reply: bytes) -> list[list[bytes]]:
        """Members with their scores."""
        if self._protocol == 2:
            return super().groups(reply)
        return [pair for pair in map(elements, elements(reply)) if len(pair) == self._stride]


class Column(Unordered):
    """The fields (`offset` 0) or the values (1) of a hash, in the order of the fields."""

    def __init__(self, offset: int) -> None:
        super().__init__(2)
        self._offset = offset

    def tell(self, reply: bytes, dialect: Dialect, now: int, effects: list[Effect]) -> bytes:
        """One column as an array."""
        return reply if is_error(reply) else array(elements(reply)[self._offset :: 2])


def _count_of(arguments: list[bytes]) -> int | None:
    """The count of a request, or 0 where the replicas can answer by themselves: for 0, and with an error."""
    count = integer_argument(arguments[2])
    return 0 if count is None or count == INTEGER_MIN else count


def _sample_members(dialect: Dialect, call: Call) -> Compiled:
    arguments = call.arguments
    if len(arguments) > 3:
        return Compiled(call.raw)
    count = _count_of(arguments) if len(arguments) == 3 else None
    if count == 0:
        return Compiled(call.raw)
    return Compiled(
        encode_request([b"SMEMBERS", arguments[1]]), Sample(1, call.session.protocol, count, is_paired=False)
    )


def _is_plain_sample(arguments: list[bytes], word: bytes) -> bool:
    """Whether replicas answer it alike: no element is asked for, or the request is wrong."""
    if len(arguments) == 2:
        return False
    count = _count_of(arguments)
    if len(arguments) == 3:
        return not count
    return not count or len(arguments) > 4 or arguments[3].upper() != word or abs(count) > INTEGER_MAX // 2


def _sample_ranked(dialect: Dialect, call: Call) -> Compiled:
    arguments = call.arguments
    if _is_plain_sample(arguments, b"WITHSCORES"):
        return Compiled(call.raw)
    count = _count_of(arguments) if len(arguments) > 2 else None
    raw = encode_request([b"ZRANGE", arguments[1], b"0", b"-1", b"WITHSCORES"])
    return Compiled(raw, SampleOfRanked(2, call.session.protocol, count, len(arguments) == 4))


def _sample_fields(dialect: Dialect, call: Call) -> Compiled:
    arguments = call.arguments
    if _is_plain_sample(arguments, b"WITHVALUES"):
        return Compiled(call.raw)
    count = _count_of(arguments) if len(arguments) > 2 else None
    raw = encode_request([b"HGETALL", arguments[1]])
    return Compiled(raw, Sample(2, call.session.protocol, count, len(arguments) == 4))


def _sample_keys(dialect: Dialect, call: Call) -> Compiled:
    return Compiled(encode_request([b"KEYS", b"*"]), Sample(1, call.session.protocol, None, is_paired=False))


def _fields(dialect: Dialect, call: Call) -> Compiled:
    return Compiled(encode_request([b"HGETALL", call.arguments[1]]), Column(0))


def _values(dialect: Dialect, call: Call) -> Compiled:
    return Compiled(encode_request([b"HGETALL", call.arguments[1]]), Column(1))


class Pop:
    """An SPOP under way: `wanted` members are still to be drawn, None for one without a count; `taken` are ours."""

    def __init__(self, session: Session, key: bytes, wanted: int | None) -> None:
        self.session = session
        self.key = key
        self.is_counted = wanted is not None
        self.wanted = 1 if wanted is None else wanted
        self.taken: list[bytes] = []
        self.rounds = 0

    def answer(self) -> bytes:
        """What was taken, as SPOP's reply."""
        protocol = self.session.protocol
        if self.is_counted:
            return aggregate(b"~", protocol, self.taken)
        return self.taken[0] if self.taken else null(protocol)

    def removal_bytes(self, chosen: list[bytes]) -> int:
        """How long the requests of step 2 are, at most: each names the key again."""
        return sum(map(len, chosen)) + len(chosen) * (len(self.key) + _REMOVAL_BYTES)

    def read(self, dialect: Dialect, effects: list[Effect]) -> None:
        """Step 1: read the members."""
        effects.append(dialect.step(self.session, [b"SMEMBERS", self.key], False, Members(self)))

    def end(self, answer: bytes, dialect: Dialect, now: int, effects: list[Effect]) -> None:
        """Answer with what was taken, or else with `answer`."""
        dialect.resume(self.session, self.answer() if self.taken else answer, now, effects)


class Members(Unordered):
    """Step 1 of an SPOP: all members."""

    def __init__(self, pop: Pop) -> None:
        super().__init__(1)
        self._pop = pop

    def tell(self, reply: bytes, dialect: Dialect, now: int, effects: list[Effect]) -> bytes:
        """Draw, and order step 2."""
        pop = self._pop
        if pop.session.client.is_gone:
            return b""
        members = elements(reply)
        chosen = members
        if pop.wanted < len(members):
            chosen = [members[position] for position in draw(dialect.chance, len(members), pop.wanted)]
        limits = dialect.limits
        if is_error(reply) or not chosen:
            pop.end(reply if is_error(reply) else pop.answer(), dialect, now, effects)
        elif len(chosen) > limits.sample_max or pop.removal_bytes(chosen) > limits.request_bytes_max:
            pop.end(_TOO_MANY, dialect, now, effects)
        else:
            self._remove(chosen, dialect, now, effects)
        return b""

    def _remove(self, chosen: list[bytes], dialect: Dialect, now: int, effects: list[Effect]) -> None:
        session = self._pop.session
        requests = [[b"SREM", self._pop.key, payload(member)] for member in chosen]
        effects.append(together(session, requests, True, Removals(self._pop, chosen)))
        dialect.touched(session.database, [self._pop.key], now, effects)

    def failed(self, answer: bytes, dialect: Dialect, now: int, effects: list[Effect]) -> None:
        """The members are not known."""
        self._pop.end(answer, dialect, now, effects)


class Removals(Transform):
    """Step 2 of an SPOP: for each member drawn, whether it was still there."""

    def __init__(self, pop: Pop, chosen: list[bytes]) -> None:
        self._pop = pop
        self._chosen = chosen
        self._is_all = len(chosen) < pop.wanted

    def tell(self, reply: bytes, dialect: Dialect, now: int, effects: list[Effect]) -> bytes:
        """Take what was removed; draw again for what was not."""
        pop = self._pop
        position = 0
        for member in self._chosen:
            end = value_end(reply, position)
            if reply[position:end] == ONE:
                pop.taken.append(member)
                pop.wanted -= 1
            position = end
        pop.rounds += 1
        if not pop.wanted or (self._is_all and pop.taken) or pop.session.client.is_gone:
            pop.end(pop.answer(), dialect, now, effects)
        elif pop.rounds > dialect.limits.step_retries_max:
            pop.end(error("TRYAGAIN others took each member that was drawn"), dialect, now, effects)
        else:
            pop.read(dialect, effects)
        return b""

    def failed(self, answer: bytes, dialect: Dialect, now: int, effects: list[Effect]) -> None:
        """Nobody knows what was removed."""
        self._pop.end(answer, dialect, now, effects)


def _pop_members(dialect: Dialect, call: Call, effects: list[Effect]) -> None:
    arguments = call.arguments
    wanted = integer_argument(arguments[2]) if len(arguments) == 3 else None
    if len(arguments) > 3 or (len(arguments) == 3 and (wanted is None or wanted <= 0)):
        effects.append(plain(call, call.raw))
        return
    dialect.wait(call.session)
    Pop(call.session, arguments[1], wanted).read(dialect, effects)


COMPILERS: dict[str, Compiler] = {
    "srandmember": _sample_members,
    "zrandmember": _sample_ranked,
    "hrandfield": _sample_fields,
    "randomkey": _sample_keys,
    "hkeys": _fields,
    "hvals": _values,
}
PLANNERS: dict[str, Planner] = {"spop": _pop_members}
