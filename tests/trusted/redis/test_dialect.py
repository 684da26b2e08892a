"""What each request becomes: plain ones share a span, others are compiled, planned, answered here or refused."""

import pytest

from quorate.trusted.errors import BrokenInvariant
from quorate.trusted.limits import Limits
from quorate.trusted.protocols.redis.base import Settings
from quorate.trusted.protocols.redis.framing import ReplyScanner, encode_request
from quorate.trusted.protocols.redis.scripts import REAP, digest
from quorate.trusted.span import Answer, Close, Effect, Span
from tests.trusted.redis.conversation import Conversation, Talker, request_of, wire

LOCKED = Settings(password=b"secret")


def spans_of(effects: list[Effect]) -> list[tuple[int, bool]]:
    return [(effect.count, effect.is_write) for effect in effects if isinstance(effect, Span)]


def sends(talker: Talker, data: bytes) -> list[Effect]:
    """Bytes as they are; the effects are performed and returned."""
    effects = talker.talk.protocol.read(talker.client, data, talker.talk.now)
    talker.talk.perform(effects)
    return effects


# Lanes.


def test_a_lane_is_probed_set_up_and_switched() -> None:
    protocol = Conversation().protocol
    assert isinstance(protocol.scanner(), ReplyScanner)
    assert protocol.probe() == (encode_request([b"PING"]), b"+PONG\r\n")
    setup, frames = protocol.setup()
    assert setup.startswith(encode_request([b"SELECT", b"15"]))
    assert setup.count(b"SCRIPT") == frames - 1 == 4
    assert protocol.is_refusal(b"-ERR no scripts\r\n")
    assert not protocol.is_refusal(b"$40\r\n")
    skip = encode_request([b"CLIENT", b"REPLY", b"SKIP"])
    hello, select = encode_request([b"HELLO", b"3"]), encode_request([b"SELECT", b"5"])
    assert protocol.switch(-1, 3 << 16 | 5) == skip + hello + skip + select
    assert protocol.switch(2 << 16 | 5, 3 << 16 | 5) == skip + hello
    assert protocol.switch(3 << 16 | 4, 3 << 16 | 5) == skip + select
    assert protocol.switch(3 << 16 | 5, 3 << 16 | 5) == b""


# Plain requests.


def test_neighbouring_plain_requests_of_one_kind_share_a_span() -> None:
    client = Conversation().client()
    lines = ["GET a", "GET b", "SET a 1", "INCR a", "PING", "INCR a", "ZRANGE z 0 -1"]
    assert spans_of(sends(client, b"".join(map(request_of, lines)))) == [(2, False), (2, True), (1, True), (1, False)]
    assert client.hears() == b""


def test_names_are_known_in_any_case() -> None:
    talk = Conversation()
    client = talk.client()
    client.says("Get a", "get a", "GET a", "xInfo GroupS a")
    assert talk.waiting() == ["Get a", "get a", "GET a", "xInfo GroupS a"]


def test_replies_come_in_the_order_of_requests() -> None:
    talk = Conversation()
    client = talk.client()
    client.says("GET a", "PING", "GET b")
    talk.orders("GET a", "$1 x")
    assert client.hears() == wire("$1 x +PONG")
    talk.orders("GET b", "$1 y")
    assert client.hears() == wire("$1 y")


def test_unordered_replies_are_canonical() -> None:
    talk = Conversation()
    client = talk.client()
    client.says("SMEMBERS s", "HGETALL h")
    talk.orders("SMEMBERS s", "*2 $1 b $1 a")
    talk.orders("HGETALL h", "*4 $1 b $1 2 $1 a $1 1")
    assert client.hears() == wire("*2 $1 a $1 b *4 $1 a $1 1 $1 b $1 2")


# What is refused.


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("NOPE a 'b c'", "-ERR unknown command 'NOPE', with args beginning with: 'a' 'b c' "),
        ("NOPE " + "x" * 128 + " y", f"-ERR unknown command 'NOPE', with args beginning with: '{'x' * 128}' "),
        ("GET", "-ERR wrong number of arguments for 'get' command"),
        ("GET a b", "-ERR wrong number of arguments for 'get' command"),
        ("OBJECT", "-ERR wrong number of arguments for 'object' command"),
        ("OBJECT NOPE x", "-ERR unknown subcommand 'NOPE'. Try OBJECT HELP."),
        ("CLIENT SETNAME", "-ERR wrong number of arguments for 'client|setname' command"),
        ("DUMP k", "-ERR quorate refuses DUMP: its serialised form follows each replica's own hash order"),
        ("CLIENT TRACKING on", "-ERR quorate refuses CLIENT TRACKING: client-side caching is not offered"),
    ],
)  # fmt: skip
def test_what_cannot_be_served_is_refused_with_the_reason(line: str, answer: str) -> None:
    talk = Conversation()
    client = talk.client()
    client.says(line)
    assert client.hears() == answer.encode() + b"\r\n"
    assert talk.waiting() == []


def test_writes_that_grow_are_refused_while_memory_is_full() -> None:
    talk = Conversation()
    client = talk.client()
    talk.protocol.memory_measured(is_full=True)
    client.says("APPEND k v", "SET k v EX 9", "DEL k", "GET k")
    assert client.hears() == b"-OOM command not allowed when used memory > 'maxmemory'.\r\n" * 2
    assert talk.waiting() == ["DEL k", "GET k"]
    talk.protocol.memory_measured(is_full=False)
    client.says("APPEND k v")
    assert talk.waiting() == ["DEL k", "GET k", "APPEND k v"]


def test_writes_are_refused_while_the_journal_has_no_room_and_reads_are_served() -> None:
    talk = Conversation()
    client = talk.client()
    talk.protocol.journal_measured(is_full=True, is_spent=False)
    client.says("DEL k", "SET k v EX 9", "PFCOUNT p", "GET k")
    refused = client.hears()
    assert refused.count(b"-MISCONF quorate: the disk has no room for the journal") == 3
    talk.orders("GET k", "$-1")
    talk.protocol.memory_measured(is_full=True)
    talk.protocol.journal_measured(is_full=False, is_spent=False)
    client.hears()
    client.says("APPEND k v", "DEL k")
    assert client.hears().startswith(b"-OOM")
    assert talk.waiting() == ["DEL k"]


def test_a_transaction_that_writes_is_refused_when_the_journal_has_no_room_by_then() -> None:
    talk = Conversation()
    writer, reader = talk.client(), talk.client()
    writer.says("MULTI", "GET k", "DEL k")
    reader.says("MULTI", "GET k")
    talk.protocol.journal_measured(is_full=True, is_spent=False)
    writer.hears()
    reader.hears()
    writer.says("EXEC", "GET k")
    assert writer.hears().startswith(b"-MISCONF quorate: the disk has no room for the journal")
    talk.orders("GET k", "$-1")
    reader.says("EXEC")
    assert "GET k" in talk.waiting()[-1]


def test_what_expires_when_nothing_can_be_written_is_neither_reaped_nor_shown() -> None:
    """Nobody may see a key that has expired, so nobody is served once one has."""
    talk = Conversation()
    client = talk.client()
    client.says("SET k v EX 9")
    talk.decide(b"+OK\r\n")
    assert client.hears() == b"+OK\r\n"
    talk.protocol.journal_measured(is_full=True, is_spent=True)
    assert talk.protocol.next_deadline() == 0, "it is not waited for, either"
    client.says("GET k")
    talk.orders("GET k", "$1 v")
    client.hears()
    talk.passes(10)
    assert talk.waiting() == []
    client.says("GET k", "PING", "MULTI", "RESET")
    heard = client.hears()
    assert heard.count(b"-MISCONF quorate: the disk has no room to write down that keys expire") == 3
    assert heard.endswith(b"+RESET\r\n")
    assert talk.waiting() == []
    talk.protocol.journal_measured(is_full=False, is_spent=False)
    assert 0 < talk.protocol.next_deadline() <= talk.now
    client.says("GET k")
    assert [words.split()[0] for words in talk.waiting()] == ["EVALSHA", "GET"]


# What writes change.


def kept() -> Conversation:
    """A conversation whose writes' changes are noted."""
    talk = Conversation()
    talk.protocol.changes.is_kept = True
    return talk


def changed(talk: Conversation) -> list[str]:
    """The keys noted since the last time, each behind its database."""
    changes = talk.protocol.changes
    wholes = [f"{changes.take_whole()}:*" for _ in list(changes.whole)]
    return wholes + [f"{database}:{key.decode()}" for database, key, _ in changes.take(changes.count, changes.weight)]


@pytest.mark.parametrize(
    ("lines", "keys"),
    [
        (["SET a 1", "GET b", "INCR c"], ["0:a", "0:c"]),
        (["SET a 1 EX 100"], ["0:a"]),
        (["SELECT 3", "SET a 1"], ["3:a"]),
        (["MULTI", "SET a 1", "SELECT 3", "SET b 1", "EXEC", "SET c 1"], ["0:a", "3:b", "3:c"]),
        (["MULTI", "SET a 1", "DISCARD"], []),
        (["MULTI", "SET a 1", "NOPE", "EXEC"], []),
        (["APPEND a"], []),
        (["BLPOP a b 0"], ["0:a", "0:b"]),
        (["BLMOVE a b LEFT LEFT 0"], ["0:a", "0:b"]),
        (["XREADGROUP GROUP g c BLOCK 0 STREAMS x y > >"], ["0:x", "0:y"]),
        (["XREAD BLOCK 0 STREAMS x 0"], []),
        (["MULTI", "SELECT 2", "FLUSHDB", "EXEC"], ["2:*"]),
    ],
)
def test_what_a_write_may_change_is_noted_when_it_is_ordered(lines: list[str], keys: list[str]) -> None:
    talk = kept()
    talk.client().says(*lines)
    assert changed(talk) == keys


def test_a_key_that_expires_is_noted() -> None:
    talk = kept()
    talk.client().says("SET a 1 PX 50")
    talk.decide(wire("+OK"))
    changed(talk)
    talk.passes(1)
    assert changed(talk) == ["0:a"]


def test_the_step_of_a_plan_that_writes_is_noted_when_it_is_ordered() -> None:
    talk = kept()
    talk.client().says("SPOP s")
    assert changed(talk) == []
    talk.decide(wire("*1 $1 x"))
    assert changed(talk) == ["0:s"]


def test_what_a_blocked_client_takes_is_noted_with_each_attempt() -> None:
    talk = kept()
    waiting = talk.client()
    waiting.says("BLMOVE a b LEFT LEFT 0")
    talk.decide(wire("$-1"))
    assert changed(talk) == ["0:a", "0:b"]
    talk.client().says("RPUSH a 1")
    assert changed(talk) == ["0:a", "0:b"]
    talk.decide(wire(":1"))
    talk.decide(wire(":1 $1 1"))
    assert waiting.hears() == wire("$1 1")


def test_the_journal_is_told_of_plain_writes_though_no_state_is_kept() -> None:
    talk = Conversation()
    talk.protocol.changes.is_journaled = True
    talk.client().says("INCR a", "SET b 1")
    assert [key for _, _, key in talk.protocol.changes.take_recent()] == [b"a", b"b"]


def test_nothing_is_served_before_authentication() -> None:
    talk = Conversation(settings=LOCKED)
    client = talk.client()
    client.says("GET k", "GET", "NOPE", "AUTH secret", "GET k")
    refused = b"-NOAUTH Authentication required.\r\n-ERR wrong number of arguments for 'get' command\r\n"
    assert client.hears() == refused + b"-ERR unknown command 'NOPE', with args beginning with: \r\n+OK\r\n"
    assert talk.waiting() == ["GET k"]


# Broken bytes, and the end.


def test_a_fault_is_answered_after_what_came_before_it_and_ends_the_connection() -> None:
    talk = Conversation()
    client = talk.client()
    effects = sends(client, request_of("GET k") + b"*1\r\nx\r\n")
    assert isinstance(effects[-1], Close)
    assert talk.waiting() == ["GET k"]
    talk.orders("GET k", "$-1")
    assert client.hears() == b"$-1\r\n-ERR Protocol error: expected '$', got 'x'\r\n"
    assert client.client.is_closing


def test_nothing_is_read_after_quit() -> None:
    talk = Conversation()
    client = talk.client()
    effects = sends(client, b"".join(map(request_of, ["GET k", "QUIT", "DEL k", "QUIT"])) + b"*1\r\nx\r\n")
    assert [type(effect) for effect in effects] == [Span, Answer, Close]
    assert spans_of(sends(client, request_of("DEL k"))) == []
    talk.orders("GET k", "$-1")
    assert client.hears() == wire("$-1 +OK")


def test_incomplete_requests_of_all_clients_are_bounded() -> None:
    limits = Limits(incomplete_bytes_max=100, inline_bytes_max=50)
    talk = Conversation(limits)
    first, second, third = talk.client(), talk.client(), talk.client()
    assert sends(first, b"*2\r\n$80\r\n" + b"x" * 70) == []
    assert sends(second, b"*2\r\n$3\r\n") == []
    assert [type(effect) for effect in sends(third, b"*2\r\n$90\r\n" + b"x" * 70)] == [Answer, Close]
    assert third.hears() == b"-ERR quorate: too many incomplete requests\r\n"
    # Small ones are served all the same, and what left is no longer counted.
    assert sends(second, b"GET") == []
    first.leaves()
    third.leaves()
    fourth = talk.client()
    assert sends(fourth, b"*2\r\n$90\r\n" + b"x" * 70) == []


def test_without_a_quorum_each_request_has_an_error() -> None:
    talk = Conversation()
    client = talk.client()
    effects = talk.protocol.refuse(client.client, request_of("GET a") + request_of("GET b"), "one replica votes", 0)
    talk.perform(effects)
    assert client.hears() == b"-NOQUORUM one replica votes\r\n" * 2
    talk.perform(talk.protocol.refuse(client.client, request_of("GET a") + b"*1\r\nx\r\n", "one replica votes", 0))
    assert client.hears().startswith(b"-NOQUORUM one replica votes\r\n-ERR Protocol error")
    assert client.client.is_closing
    muted = talk.client().says("CLIENT REPLY OFF")
    talk.perform(talk.protocol.refuse(muted.client, request_of("GET a"), "one replica votes", 0))
    assert muted.hears() == b""


def test_a_slot_without_a_decision_is_an_error() -> None:
    talk = Conversation()
    client = talk.client()
    client.says("GET k", "SMEMBERS s")
    talk.abandon()
    talk.abandon()
    assert client.hears() == b"-NOQUORUM slot 7 was not decided: split\r\n" * 2


# CLIENT REPLY.


def test_silence_skips_one_reply_or_all_and_changes_nothing_else() -> None:
    talk = Conversation()
    client = talk.client()
    client.says(
        "CLIENT REPLY SKIP", "INCR n", "INCR n", "CLIENT REPLY OFF", "INCR n", "NOPE", "MULTI", "INCR n", "EXEC"
    )
    talk.orders("INCR n", ":1")
    assert client.hears() == b""
    talk.orders("INCR n", ":2")
    assert client.hears() == wire(":2")
    talk.orders("INCR n", ":3")
    talk.decide(wire("+OK +QUEUED *1 :4"))
    client.says("CLIENT REPLY ON", "PING")
    assert client.hears() == wire("+OK +PONG")


# Transactions: more of them in test_transactions.py.


def test_a_transaction_is_queued_here_and_ordered_as_one_slot() -> None:
    talk = Conversation()
    client = talk.client()
    client.says("MULTI", "MULTI", "WATCH k", "SET k v", "SELECT 1", "UNWATCH", "XPENDING x g - + 1", "GET k", "EXEC")
    assert client.hears() == (
        b"+OK\r\n-ERR MULTI calls can not be nested\r\n-ERR WATCH inside MULTI is not allowed\r\n" + b"+QUEUED\r\n" * 5
    )
    talk.orders(
        "MULTI; SET k v; SELECT 1; PING; PING; GET k; SELECT 0; EXEC",
        "+OK" + " +QUEUED" * 6 + " *6 +OK +OK +PONG +PONG $-1 +OK",
    )
    assert client.hears().startswith(wire("*5 +OK +OK +OK") + b"-ERR quorate refuses XPENDING")
    client.says("MULTI", "EXEC", "MULTI", "DISCARD", "DISCARD", "EXEC", "UNWATCH", "RESET")
    assert client.hears() == (
        b"+OK\r\n*0\r\n+OK\r\n+OK\r\n-ERR DISCARD without MULTI\r\n-ERR EXEC without MULTI\r\n+OK\r\n+RESET\r\n"
    )


def test_a_watched_key_or_a_refusal_keeps_a_transaction_from_being_ordered() -> None:
    talk = Conversation(Limits(transactions_bytes_max=60))
    client = talk.client()
    client.says("WATCH k", "SET k v", "MULTI", "GET k", "EXEC")
    client.says("MULTI", "SPOP s", "GET k", "EXEC", "MULTI", "AUTH x", "EXEC x", "EXEC")
    client.says("MULTI", "GET k", "ECHO " + "x" * 50, "EXEC")
    assert talk.waiting() == ["SET k v"]
    talk.decide(wire("+OK"))
    assert client.hears().count(b"-EXECABORT") == 3


# Time.


def test_expired_keys_are_reaped_before_the_next_slot() -> None:
    talk = Conversation()
    client = talk.client()
    assert talk.protocol.next_deadline() == 0
    client.says("SET k v PX 10")
    assert talk.protocol.next_deadline() == talk.now + 11_000_000
    talk.decide(wire("+OK"))
    talk.now += 20_000_000
    client.says("GET k")
    assert [line.split()[:4] for line in talk.waiting()] == [
        ["EVALSHA", digest(REAP).decode(), "1", "k"],
        ["GET", "k"],
    ]


def test_expired_keys_are_reaped_before_the_next_step_of_a_plan() -> None:
    talk = Conversation()
    client = talk.client()
    client.says("SPOP s", "GET k")
    talk.client().says("PEXPIRE s 10")
    talk.now += 20_000_000
    talk.decide(wire("*1 $1 a"))
    assert [line.split()[0] for line in talk.waiting()] == ["PEXPIREAT", "EVALSHA", "SREM"]
    talk.decide(wire(":1"))
    talk.client().says("PEXPIRE s 10")
    talk.now += 20_000_000
    talk.abandon()
    talk.abandon()
    assert [line.split()[0] for line in talk.waiting()] == ["PEXPIREAT", "EVALSHA", "GET"]


def test_time_wakes_keys_waits_and_cursors() -> None:
    talk = Conversation()
    client = talk.client()
    client.says("SET k v PX 10")
    client.says("BLPOP l 1")
    talk.decide(wire("+OK"))
    talk.decide(wire("*-1"))
    client.hears()
    talk.passes(2)
    assert [line.split()[0] for line in talk.waiting()] == ["EVALSHA"]
    assert client.hears() == wire("*-1")


# Writes, and who waits for them.


def test_a_write_wakes_who_is_parked_on_its_key() -> None:
    talk = Conversation()
    waiting, client = talk.client(), talk.client()
    waiting.says("BLPOP l 0")
    talk.decide(wire("*-1"))
    client.says("RPUSH other a", "GET x", "RPUSH l a", "GET y")
    assert talk.waiting() == ["RPUSH other a", "GET x", "RPUSH l a", "LMPOP 1 l LEFT", "GET y"]


def test_a_write_with_unknown_keys_wakes_all() -> None:
    talk = Conversation()
    waiting, client = talk.client(), talk.client()
    waiting.says("BLPOP l 0")
    talk.decide(wire("*-1"))
    client.says("SWAPDB 0 1")
    assert talk.waiting() == ["SWAPDB 0 1", "LMPOP 1 l LEFT"]


def test_what_came_behind_a_plan_waits_for_it() -> None:
    talk = Conversation()
    client = talk.client()
    client.says("SPOP s", "GET k", "SPOP s", "PING")
    assert talk.waiting() == ["SMEMBERS s"]
    talk.decide(wire("*0"))
    assert client.hears() == wire("$-1")
    assert talk.waiting() == ["GET k", "SMEMBERS s"]
    talk.decide(wire("$1 v"))
    talk.decide(wire("*0"))
    assert client.hears() == wire("$1 v $-1 +PONG")
    assert not client.client.is_waiting


def test_a_plan_of_a_client_who_left_answers_nobody() -> None:
    talk = Conversation()
    client = talk.client()
    client.says("SPOP s", "DEL k")
    client.leaves()
    talk.abandon()
    assert talk.waiting() == []
    assert client.hears() == b""


def test_xread_takes_one_slot_unless_it_may_have_to_wait() -> None:
    talk = Conversation()
    client = talk.client()
    client.says("XREAD STREAMS x 0", "XREAD BLOCK 0 STREAMS x 0", "PING")
    assert talk.waiting() == ["XREAD STREAMS x 0", "XREAD STREAMS x 0"]
    assert client.client.is_waiting


# Leaving.


def test_nothing_is_kept_of_who_left() -> None:
    talk = Conversation()
    client = talk.client()
    client.says("SUBSCRIBE a", "UNSUBSCRIBE", "WATCH k", "MULTI", "GET k")
    client.leaves()
    protocol = talk.protocol
    assert (protocol.sessions, len(protocol.watchers), protocol.transactions._bytes) == ({}, 0, 0)


# What cannot be.


def test_what_is_queued_must_have_an_answer() -> None:
    talk = Conversation()
    client = talk.client()
    client.says("MULTI", "PING")
    session = talk.protocol.sessions[1]
    assert session.transaction is not None
    call = session.transaction.queued[0]
    call.command = talk.protocol._table[b"subscribe"]
    with pytest.raises(BrokenInvariant):
        talk.protocol.compile_queued(call, [])
