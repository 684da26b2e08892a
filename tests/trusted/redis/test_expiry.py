"""What commands about deadlines become: no replica's clock decides, and the index learns what the replies tell."""

import dataclasses

import pytest

from quorate.trusted.limits import Limits
from quorate.trusted.protocols.redis.base import Compiled, Refusal
from quorate.trusted.protocols.redis.deadlines import DEADLINE_MS_MAX
from quorate.trusted.protocols.redis.expiry import COMPILERS, reap_spans
from quorate.trusted.protocols.redis.framing import encode_request
from quorate.trusted.protocols.redis.scripts import DEADLINE_OFFSET_MS, REAP, digest
from quorate.trusted.span import Effect, Span

from .support import MILLISECOND_NS, NotingDialect, call_of, session_of

NOW = 1_000_000
OK = b"+OK\r\n"
ONE = b":1\r\n"
ZERO = b":0\r\n"
NULL = b"$-1\r\n"
WRONGTYPE = b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"


class Conversation:
    """One client of one dialect, at a time that stands still unless it is moved."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.dialect = NotingDialect(limits)
        self.session = session_of(self.dialect)
        self.now_ms = NOW

    def ask(self, request: str | list[bytes], in_transaction: bool = False) -> Compiled:
        arguments = request.encode().split() if isinstance(request, str) else request
        call = call_of(self.session, arguments, self.now_ms, in_transaction)
        return COMPILERS[call.command.name](self.dialect, call)

    def sent(self, request: str | list[bytes], in_transaction: bool = False) -> str:
        """What the replicas get: deadlines to come as +milliseconds from now."""
        words = self.ask(request, in_transaction).raw.split(b"\r\n")[2::2]
        return " ".join(self._shown(word) for word in words)

    def _shown(self, word: bytes) -> str:
        if word.isdigit() and int(word) >= DEADLINE_OFFSET_MS:
            return f"{int(word) - DEADLINE_OFFSET_MS - self.now_ms:+}"
        return word.decode()

    def told(self, compiled: Compiled, reply: bytes) -> bytes:
        assert compiled.transform is not None
        assert compiled.transform.is_exact
        assert compiled.transform.canonical(reply) == reply
        return compiled.transform.tell(reply, self.dialect, self.now_ms * MILLISECOND_NS, [])

    def left(self, key: str = "k", database: int = 0) -> list[int]:
        """The candidates for the deadline of `key`, in milliseconds from now."""
        return [deadline - self.now_ms for deadline in self.dialect.deadlines.candidates(database, key.encode())]


@pytest.fixture
def client() -> Conversation:
    return Conversation()


# SET and its kin.


@pytest.mark.parametrize(
    ("request_text", "sent", "left"),
    [
        ("SET k v EX 10", "SET k v PXAT +10000", 10_000),
        ("set k v px 10", "SET k v PXAT +10", 10),
        ("SET k v EXAT 1001", "SET k v PXAT +1000", 1_000),
        ("SET k v PXAT 1000000", "SET k v PXAT +0", 0),
        ("SET k v EX 10 EX 20", "SET k v PXAT +20000", 20_000),
        ("SETEX k 10 v", "SET k v PXAT +10000", 10_000),
        ("PSETEX k 10 v", "SET k v PXAT +10", 10),
    ],
)
def test_a_set_with_a_time_stores_an_absolute_one(
    client: Conversation, request_text: str, sent: str, left: int
) -> None:
    client.dialect.deadlines.add(0, b"k", NOW + 5)
    compiled = client.ask(request_text)
    assert compiled.transform is None
    assert client.left() == [left]
    assert client.sent(request_text) == sent


@pytest.mark.parametrize(
    "request_text",
    [
        "SET k v",
        "SET k v NX",
        "SET k v XX GET",
        "SET k v KEEPTTL",
        "SET k v KEEPTTL KEEPTTL",
        "SET k v NX XX",
        "SET k v XX NX",
        "SET k v EX",
        "SET k v EX 10 PX 10",
        "SET k v EX 10 KEEPTTL",
        "SET k v KEEPTTL EX 10",
        "SET k v PERSIST",
        "SET k v LATER",
        "SET k v EX 0",
        "SET k v PXAT -1",
        "SET k v EX ten",
        "SET k v EX 010",
        "SETEX k 0 v",
        "PSETEX k 1.5 v",
        "GETEX k",
        "GETEX k PERSIST",
        "GETEX k PERSIST PERSIST",
        "GETEX k PERSIST EX 10",
        "GETEX k EX 10 PERSIST",
        "GETEX k KEEPTTL",
        "GETEX k NX",
        "GETEX k EX 0",
        "EXPIRE k ten",
        "EXPIRE k 9223372036854775807",
        "EXPIRE k -9223372036854775807",
        "EXPIRE k 10 NX XX",
        "EXPIRE k 10 GT LT",
        "EXPIRE k 10 SOON",
        "RENAME k k",
        "RENAME k j",
        "MOVE k 16",
        "MOVE k -1",
        "MOVE k x",
        "MOVE k 0",
        "COPY k j",
        "COPY k j DB",
        "COPY k j DB 16",
        "COPY k j DB x",
        "COPY k j ANYWHERE",
        "SWAPDB 0 16",
        "SWAPDB 0 x",
        "SWAPDB x 0",
        "SWAPDB 16 0",
        "SWAPDB 1 1",
        "FLUSHDB NOW",
        "FLUSHALL ASYNC SYNC",
    ],
)
def test_what_sets_no_deadline_or_is_refused_by_all_goes_on_as_it_came(client: Conversation, request_text: str) -> None:
    client.dialect.deadlines.set(0, b"other", NOW + 5)
    compiled = client.ask(request_text)
    assert compiled.raw == encode_request(request_text.encode().split())
    assert compiled.transform is None
    assert client.left() == []
    assert client.left("other") == [5]


def test_options_end_at_a_zero_byte_as_they_do_in_redis(client: Conversation) -> None:
    assert client.sent([b"SET", b"k", b"v", b"ex\0ample", b"10", b"nx\0"]) == "SET k v NX PXAT +10000"
    assert client.sent([b"EXPIRE", b"k", b"10", b"gt\0"]) == "PEXPIREAT k +10000 GT"


@pytest.mark.parametrize(
    ("request_text", "made", "not_made"),
    [
        ("SET k v PX 10 NX", OK, NULL),
        ("SET k v PX 10 XX", OK, b"_\r\n"),
        ("SET k v PX 10 GET", NULL, WRONGTYPE),
        ("SET k v PX 10 GET", b"$1\r\no\r\n", WRONGTYPE),
        ("SET k v PX 10 NX GET", NULL, b"$1\r\no\r\n"),
        ("SET k v PX 10 NX GET", NULL, WRONGTYPE),
        ("SET k v PX 10 GET XX", b"$1\r\no\r\n", NULL),
        ("SET k v PX 10 GET XX", b"$1\r\no\r\n", WRONGTYPE),
        ("GETEX k PX 10", b"$1\r\no\r\n", NULL),
        ("GETEX k PX 10", b"$1\r\no\r\n", WRONGTYPE),
        ("PEXPIRE k 10 NX", ONE, ZERO),
        ("PEXPIRE k 10 GT XX", ONE, ZERO),
    ],
)
def test_the_reply_tells_whether_a_condition_held(
    client: Conversation, request_text: str, made: bytes, not_made: bytes
) -> None:
    for reply, left in ((made, [10]), (not_made, [500])):
        client.dialect.deadlines.set(0, b"k", NOW + 500)
        compiled = client.ask(request_text)
        assert client.left() == [500, 10]
        assert client.told(compiled, reply) == reply
        assert client.left() == left


@pytest.mark.parametrize(
    ("request_text", "sent"),
    [
        ("SET k v PX 10 xx get", "SET k v XX GET PXAT +10"),
        ("GETEX k EX 10", "GETEX k PXAT +10000"),
        ("GETEX k EXAT 1001", "GETEX k PXAT +1000"),
        ("EXPIRE k 10", "PEXPIREAT k +10000"),
        ("PEXPIRE k 10 nx", "PEXPIREAT k +10 NX"),
        ("EXPIREAT k 1001 xx", "PEXPIREAT k +1000 XX"),
        ("PEXPIREAT k 1000001 gt xx", "PEXPIREAT k +1 GT XX"),
    ],
)
def test_a_time_goes_to_the_replicas_as_an_absolute_one(client: Conversation, request_text: str, sent: str) -> None:
    assert client.sent(request_text) == sent


def test_expire_of_a_missing_key_leaves_nothing(client: Conversation) -> None:
    client.dialect.deadlines.set(0, b"k", NOW + 500)
    compiled = client.ask("PEXPIRE k 10")
    assert client.left() == [10]
    client.told(compiled, ZERO)
    assert client.left() == []


def test_repeated_conditional_expires_stay_bounded(client: Conversation) -> None:
    for number in range(5_000):
        client.now_ms += 1
        compiled = client.ask("EXPIRE k 60 NX")
        client.told(compiled, ONE if number == 0 else ZERO)
    assert client.left() == [60_000 - 4_999]


def test_inside_a_transaction_nothing_is_certain_before_its_reply(client: Conversation) -> None:
    client.dialect.deadlines.set(0, b"k", NOW + 500)
    compiled = client.ask("SET k v PX 10", in_transaction=True)
    assert client.left() == [500, 10]
    client.told(compiled, OK)
    assert client.left() == [10]
    client.ask("PEXPIRE k 20", in_transaction=True)
    client.ask("PERSIST k", in_transaction=True)
    client.ask("FLUSHALL", in_transaction=True)
    assert client.left() == [10, 20]


# Deadlines that have passed already.


@pytest.mark.parametrize(
    ("request_text", "sent"),
    [
        ("EXPIRE k -1", "PEXPIREAT k 1"),
        ("EXPIRE k 0 GT", "PEXPIREAT k 1 GT"),
        ("PEXPIREAT k 1000000", "PEXPIREAT k 1"),
        ("EXPIREAT k -9223372036854775", "PEXPIREAT k 1"),
        ("GETEX k PXAT 999999", "GETEX k PXAT 1"),
    ],
)
def test_a_time_that_has_passed_deletes_at_once(client: Conversation, request_text: str, sent: str) -> None:
    assert client.sent(request_text) == sent
    assert client.ask(request_text).transform is None
    assert client.left() == []


def test_a_key_set_to_a_time_that_has_passed_is_due_at_once(client: Conversation) -> None:
    assert client.sent("SET k v PXAT 999999") == "SET k v PXAT 1"
    assert client.dialect.deadlines.is_due(NOW)


@pytest.mark.parametrize(
    ("request_text", "name"),
    [
        ("SET k v EX 9223372036854775807", "set"),
        (f"SETEX k {DEADLINE_MS_MAX} v", "setex"),
        (f"SET k v PXAT {DEADLINE_MS_MAX + 1}", "set"),
        (f"GETEX k PX {DEADLINE_MS_MAX}", "getex"),
        (f"PEXPIRE k {DEADLINE_MS_MAX}", "pexpire"),
        (f"PEXPIREAT k {DEADLINE_MS_MAX + 1}", "pexpireat"),
    ],
)
def test_a_time_past_all_exact_numbers_is_refused_as_redis_would(
    client: Conversation, request_text: str, name: str
) -> None:
    with pytest.raises(Refusal) as refusal:
        client.ask(request_text)
    assert refusal.value.answer == f"-ERR invalid expire time in '{name}' command\r\n".encode()
    assert client.left() == []


def test_the_last_exact_time_is_accepted(client: Conversation) -> None:
    assert client.ask(f"PEXPIREAT k {DEADLINE_MS_MAX}").raw.endswith(b"$16\r\n%d\r\n" % (2**53 - 1))


def test_a_full_index_refuses_and_changes_nothing() -> None:
    client = Conversation(dataclasses.replace(Limits(), deadlines_max=1))
    client.ask("SET k v PX 10")
    for request in ("SET j v PX 10", "PEXPIRE j 10", "RENAME k j"):
        with pytest.raises(Refusal, match="deadlines_max"):
            client.ask(request)
    assert client.left() == [10]
    assert len(client.dialect.deadlines) == 1


# Reading what is left.


@pytest.mark.parametrize(
    ("command", "held", "told"),
    [
        ("PTTL", 1_499, 1_499),
        ("TTL", 1_499, 1),
        ("TTL", 1_500, 2),
        ("TTL", 499, 0),
        ("PTTL", -5, 0),
        ("PEXPIRETIME", 1_499, NOW + 1_499),
        ("EXPIRETIME", 1_499, 1_001),
        ("EXPIRETIME", 1_500, 1_002),
    ],
)
def test_what_is_left_is_reckoned_from_the_ordered_time(
    client: Conversation, command: str, held: int, told: int
) -> None:
    compiled = client.ask(f"{command} k")
    assert compiled.raw == encode_request([b"PEXPIRETIME", b"k"])
    reply = b":%d\r\n" % (NOW + held + DEADLINE_OFFSET_MS)
    assert client.told(compiled, reply) == b":%d\r\n" % told


@pytest.mark.parametrize("reply", [b":-1\r\n", b":-2\r\n", b"-ERR something\r\n"])
def test_no_deadline_and_no_key_are_told_as_they_are(client: Conversation, reply: bytes) -> None:
    assert client.told(client.ask("TTL k"), reply) == reply


def test_persist_forgets_the_deadline(client: Conversation) -> None:
    client.ask("SET k v PX 10")
    assert client.sent("PERSIST k") == "PERSIST k"
    assert client.left() == []


# Keys that move.


@pytest.mark.parametrize(
    ("request_text", "made", "not_made"),
    [("RENAME k j", OK, b"-ERR no such key\r\n"), ("RENAMENX k j", ONE, ZERO)],
)
def test_a_renamed_key_takes_its_deadline_along(
    client: Conversation, request_text: str, made: bytes, not_made: bytes
) -> None:
    for reply, of_k, of_j in ((made, [], [10]), (not_made, [10], [500])):
        client.dialect.deadlines.set(0, b"k", NOW + 10)
        client.dialect.deadlines.set(0, b"j", NOW + 500)
        compiled = client.ask(request_text)
        assert client.left("j") == [500, 10]
        assert client.told(compiled, reply) == reply
        assert (client.left("k"), client.left("j")) == (of_k, of_j)


def test_a_moved_key_takes_its_deadline_along(client: Conversation) -> None:
    client.ask("SET k v PX 10")
    client.told(client.ask("MOVE k 3"), ONE)
    assert client.left("k", 0) == []
    assert client.left("k", 3) == [10]


@pytest.mark.parametrize("options", ["DB 3", "REPLACE DB 3", "db 2 replace DB 3"])
def test_a_copy_has_the_deadline_too(client: Conversation, options: str) -> None:
    client.ask("SET k v PX 10")
    compiled = client.ask(f"COPY k j {options}")
    assert client.left("j", 3) == [10]
    client.told(compiled, ZERO)
    assert client.left("j", 3) == []
    client.told(client.ask(f"COPY k j {options}"), ONE)
    assert client.left("j", 3) == [10]
    assert client.left("k") == [10]


def test_a_copy_within_a_database(client: Conversation) -> None:
    client.ask("SET k v PX 10")
    client.told(client.ask("COPY k j"), ONE)
    assert client.left("j") == [10]


def test_swapped_databases_swap_their_deadlines_unless_refused(client: Conversation) -> None:
    client.ask("SET k v PX 10")
    assert client.told(client.ask("SWAPDB 0 5"), OK) == OK
    assert (client.left("k", 0), client.left("k", 5)) == ([], [10])
    compiled = client.ask("SWAPDB 0 5")
    client.told(compiled, b"-ERR unknown command\r\n")
    assert client.left("k", 5) == [10]


@pytest.mark.parametrize("option", ["", " ASYNC", " sync"])
def test_a_flush_forgets_deadlines(client: Conversation, option: str) -> None:
    client.ask("SET k v PX 10")
    client.dialect.deadlines.set(3, b"k", NOW + 10)
    client.ask("FLUSHDB" + option)
    assert (client.left("k", 0), client.left("k", 3)) == ([], [10])
    client.ask("FLUSHALL" + option)
    assert client.left("k", 3) == []


# Reaping.


def reaped(effects: list[Effect]) -> list[tuple[int, list[bytes]]]:
    spans = [effect for effect in effects if isinstance(effect, Span)]
    assert all(span.owner is None and span.is_write and span.form is None for span in spans)
    return [(span.mode, span.requests[0].split(b"\r\n")[2::2]) for span in spans]


def test_keys_are_reaped_by_what_has_passed_before_now(client: Conversation) -> None:
    client.ask("SET k v PX 10")
    client.session.database = 2
    client.ask("SET j v PX 5")
    assert reap_spans(client.dialect, (NOW + 10) * MILLISECOND_NS) != []
    assert client.dialect.noted == [(2, [b"j"])]
    held = b"%d" % (NOW + 10 + DEADLINE_OFFSET_MS)
    late = reap_spans(client.dialect, (NOW + 11) * MILLISECOND_NS + 999_999)
    assert reaped(late) == [(2 << 16, [b"EVALSHA", digest(REAP), b"1", b"k", held])]
    assert client.dialect.noted == [(2, [b"j"]), (0, [b"k"])]
    assert reap_spans(client.dialect, (NOW + 99) * MILLISECOND_NS) == []


def test_one_slot_reaps_a_bounded_number_of_keys_and_bytes() -> None:
    client = Conversation(dataclasses.replace(Limits(), reap_keys_max=3, request_bytes_max=70_000))
    for name in [b"1", b"2", b"3", b"4", b"x" * 60_000, b"y" * 60_000, b"5"]:
        client.ask([b"PEXPIRE", name, b"10"])
        client.now_ms += 1
    spans = reaped(reap_spans(client.dialect, (NOW + 100) * MILLISECOND_NS))
    assert [[len(key) for key in words[3:-1]] for _, words in spans] == [[1, 1, 1], [1, 60_000], [60_000, 1]]
