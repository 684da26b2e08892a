"""MULTI, EXEC, WATCH as conversations: a queue that becomes one slot, and marks that make EXEC answer null."""

import pytest

from quorate.trusted.errors import BrokenInvariant
from quorate.trusted.limits import Limits
from quorate.trusted.protocols.redis.base import Compiled, Settings, Transform
from quorate.trusted.protocols.redis.scripts import digest
from quorate.trusted.protocols.redis.transactions import Execution
from quorate.trusted.protocols.redis.values import elements
from tests.trusted.redis.conversation import Conversation, Talker, wire

NULL = {2: wire("*-1"), 3: wire("_")}
LISTED = b"return redis.call('incr', KEYS[1])"


@pytest.fixture
def talk() -> Conversation:
    return Conversation()


@pytest.fixture
def client(talk: Conversation) -> Talker:
    return talk.client()


def queued(client: Talker, *lines: str) -> None:
    """MULTI and these, each of which is queued."""
    client.says("MULTI", *lines)
    assert client.hears() == wire("+OK" + " +QUEUED" * len(lines))


# One slot.


def test_a_transaction_is_one_slot(talk: Conversation, client: Talker) -> None:
    queued(client, "SET k v", "GET k")
    assert talk.waiting() == []
    client.says("EXEC")
    assert talk.spans[0].is_write
    assert talk.spans[0].frames == 4
    talk.orders("MULTI; SET k v; GET k; EXEC", "+OK +QUEUED +QUEUED *2 +OK $1 v")
    assert client.hears() == wire("*2 +OK $1 v")


def test_reads_alone_are_a_read(talk: Conversation, client: Talker) -> None:
    queued(client, "GET k")
    client.says("EXEC")
    assert not talk.spans[0].is_write


def test_an_empty_transaction_takes_no_slot(talk: Conversation, client: Talker) -> None:
    client.says("MULTI", "EXEC")
    assert client.hears() == wire("+OK *0")
    assert talk.waiting() == []


def test_each_result_is_told_as_outside(talk: Conversation, client: Talker) -> None:
    queued(client, "SMEMBERS s", "PTTL k", "ECHO hi", "BLPOP l 0", "SORT l ALPHA", "SORT s BY nosort")
    client.says("EXEC")
    slot = "MULTI; SMEMBERS s; PEXPIRETIME k; PING; LMPOP 1 l LEFT; SORT l BY nosort GET '#'; "
    assert talk.waiting() == [slot + "TYPE s; SORT s BY nosort; EXEC"]
    statuses = "+OK" + " +QUEUED" * 7
    talk.decide(wire(f"{statuses} *7 *2 $1 b $1 a :-1 +PONG *-1 *2 $1 b $1 a +set *2 $1 2 $1 1"))
    assert client.hears() == wire("*6 *2 $1 a $1 b :-1 $2 hi *-1 *2 $1 a $1 b *2 $1 1 $1 2")


def test_time_in_a_transaction_is_that_of_exec(talk: Conversation, client: Talker) -> None:
    queued(client, "TIME")
    talk.now += 5_000_000_000
    client.says("EXEC")
    talk.decide(wire("+OK +QUEUED *1 +PONG"))
    assert client.hears() == wire("*1 *2 $4 1005 $1 0")


def test_what_is_refused_at_exec_is_one_result(talk: Conversation, client: Talker) -> None:
    queued(client, "XPENDING x g - + 10", "SELECT 99", "GET k")
    client.says("EXEC")
    talk.orders("MULTI; PING; PING; GET k; EXEC", "+OK +QUEUED +QUEUED +QUEUED *3 +PONG +PONG $-1")
    first, second, third = elements(client.hears())
    assert first.startswith(b"-ERR quorate refuses XPENDING")
    assert second == b"-ERR DB index is out of range\r\n"
    assert third == b"$-1\r\n"


def test_a_lane_is_led_back_to_the_database_that_it_came_from(talk: Conversation, client: Talker) -> None:
    client.says("SELECT 3")
    client.hears()
    queued(client, "SELECT 5", "SET k v")
    client.says("EXEC", "GET k")
    assert [span.mode & 0xFFFF for span in talk.spans] == [3, 5]
    talk.orders("MULTI; SELECT 5; SET k v; SELECT 3; EXEC", "+OK +QUEUED +QUEUED +QUEUED *3 +OK +OK +OK")
    assert client.hears().endswith(wire("*2 +OK +OK"))


def test_a_listed_script_runs_as_its_own_user_within() -> None:
    talk = Conversation(settings=Settings(scripts=frozenset((digest(LISTED),))))
    client = talk.client()
    name = digest(LISTED).decode()
    queued(client, "INCR n", f"EVALSHA {name} 1 n", "GET n")
    client.says("EXEC")
    talk.orders(
        f"MULTI; INCR n; AUTH quorate-scripts -; EVALSHA {name} 1 n; AUTH default -; GET n; EXEC",
        "+OK +QUEUED +QUEUED +QUEUED +QUEUED +QUEUED *5 :1 +OK :2 +OK $1 2",
    )
    assert client.hears() == wire("*3 :1 :2 $1 2")


def test_replicas_that_refuse_the_whole_refuse_each_request(talk: Conversation, client: Talker) -> None:
    client.says("SELECT 1", "SET k v PX 50", "SELECT 0")
    talk.decide(wire("+OK"))
    assert talk.protocol.deadlines.candidates(1, b"k") != []
    client.hears()
    queued(client, "SWAPDB 0 1", "GET k")
    client.says("EXEC")
    assert talk.protocol.deadlines.candidates(0, b"k") != []
    talk.decide(b"+OK\r\n-ERR it was refused\r\n+QUEUED\r\n-EXECABORT it was refused\r\n")
    assert client.hears() == b"-EXECABORT it was refused\r\n"
    assert talk.protocol.deadlines.candidates(1, b"k") != []


def test_a_result_of_another_length_is_passed_on(talk: Conversation, client: Talker) -> None:
    queued(client, "SMEMBERS s")
    client.says("EXEC")
    talk.decide(wire("+OK +QUEUED *2 :1 :2"))
    assert client.hears() == wire("*2 :1 :2")


def test_results_are_compared_byte_for_byte_where_all_of_them_are() -> None:
    assert Execution([Compiled(b"GET"), Compiled(b"INCR", Transform())], 0).is_exact
    with pytest.raises(BrokenInvariant):
        Execution([Compiled(b"TYPE GET", Transform(), frames=2)], 0)


# What breaks a transaction.


@pytest.mark.parametrize("line", ["NOPE", "GET", "DUMP k", "SPOP s", "SUBSCRIBE a", "HELLO 3", "SCAN 0"])
def test_a_request_that_is_refused_breaks_the_transaction(talk: Conversation, client: Talker, line: str) -> None:
    client.says("MULTI", line, "SET k v", "EXEC", "EXEC")
    told = client.hears().split(b"\r\n")
    assert told[1].startswith(b"-ERR")
    assert told[2:5] == [
        b"+QUEUED",
        b"-EXECABORT Transaction discarded because of previous errors.",
        b"-ERR EXEC without MULTI",
    ]
    assert talk.waiting() == []


def test_what_does_not_fit_into_a_transaction_says_why(client: Talker) -> None:
    client.says("MULTI", "CLIENT REPLY ON", "SSCAN s 0")
    assert client.hears().split(b"\r\n")[1:3] == [
        b"-ERR quorate refuses CLIENT REPLY inside MULTI: its answer does not fit into EXEC's",
        b"-ERR quorate refuses SSCAN inside MULTI: it takes more than one slot",
    ]


def test_misplaced_words_do_not_break_it(talk: Conversation, client: Talker) -> None:
    client.says("EXEC", "DISCARD", "MULTI", "MULTI", "WATCH k", "PING", "UNWATCH", "EXEC")
    assert client.hears() == (
        b"-ERR EXEC without MULTI\r\n-ERR DISCARD without MULTI\r\n+OK\r\n-ERR MULTI calls can not be nested\r\n"
        b"-ERR WATCH inside MULTI is not allowed\r\n+QUEUED\r\n+QUEUED\r\n"
    )
    talk.orders("MULTI; PING; PING; EXEC", "+OK +QUEUED +QUEUED *2 +PONG +PONG")
    assert client.hears() == wire("*2 +PONG +OK")


def test_an_exec_that_is_refused_ends_it(client: Talker) -> None:
    client.says("MULTI", "PING", "EXEC now", "EXEC")
    assert client.hears().endswith(
        b"-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command\r\n"
        b"-ERR EXEC without MULTI\r\n"
    )


@pytest.mark.parametrize("end", ["DISCARD", "RESET"])
def test_a_queue_can_be_dropped(talk: Conversation, client: Talker, end: str) -> None:
    client.says("MULTI", "SET k v", end, "EXEC")
    assert client.hears().endswith(b"-ERR EXEC without MULTI\r\n")
    assert talk.waiting() == []
    assert talk.protocol.transactions._bytes == 0


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        (Limits(transaction_requests_max=1), "the transaction is over the limit"),
        (Limits(transaction_bytes_max=50), "the transaction is over the limit"),
        (Limits(transactions_bytes_max=50), "all transactions together are over the limit"),
    ],
)
def test_queues_are_bounded(limits: Limits, why: str) -> None:
    talk = Conversation(limits)
    client = talk.client()
    client.says("MULTI", "SET k v", "SET k v", "EXEC", "MULTI", "SET k v")
    told = client.hears().split(b"\r\n")
    assert told[2] == f"-ERR quorate: {why}".encode()
    assert told[3].startswith(b"-EXECABORT")
    assert told[5] == b"+QUEUED"


# WATCH.


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize(
    "write",
    ["SET k v", "DEL k", "MSET a 1 k 2", "RENAME a k", "FLUSHALL", "SWAPDB 0 1", "EXPIRE k 100", "SORT a STORE k"],
)
def test_a_write_to_a_watched_key_makes_exec_null(talk: Conversation, write: str, protocol: int) -> None:
    client = talk.client(protocol)
    other = talk.client()
    client.says("WATCH k x", "MULTI", "PING")
    other.says(write)
    client.says("EXEC")
    assert client.hears().endswith(b"+QUEUED\r\n" + NULL[protocol])
    assert len(talk.waiting()) == 1
    client.says("MULTI", "PING", "EXEC")
    assert talk.waiting()[-1] == "MULTI; PING; EXEC"


@pytest.mark.parametrize("harmless", ["GET k", "SET other v", "SELECT 1|SET k v", "MULTI|SELECT 1|SET k v|EXEC"])
def test_other_requests_leave_the_mark_clean(talk: Conversation, client: Talker, harmless: str) -> None:
    client.says("WATCH k k", "WATCH k")
    talk.client().says(*harmless.split("|"))
    client.says("MULTI", "PING", "EXEC")
    assert talk.waiting()[-1] == "MULTI; PING; EXEC"
    assert len(talk.protocol.watchers) == 0


@pytest.mark.parametrize("between", ["UNWATCH", "DISCARD", "RESET", "EXEC x"])
def test_marks_are_forgotten(talk: Conversation, client: Talker, between: str) -> None:
    other = talk.client()
    other.says("WATCH k")
    client.says("WATCH k", "SET k v", "MULTI" if between == "DISCARD" else "PING", between, "MULTI", "PING", "EXEC")
    assert talk.waiting() == ["SET k v", "MULTI; PING; EXEC"]
    assert len(talk.protocol.watchers) == 1
    other.leaves()
    assert len(talk.protocol.watchers) == 0


def test_a_transaction_s_own_writes_mark_others(talk: Conversation, client: Talker) -> None:
    other = talk.client()
    client.says("WATCH k")
    other.says("MULTI", "SELECT 2", "SELECT 0", "SET k v", "EXEC")
    client.says("MULTI", "EXEC")
    assert client.hears() == wire("+OK +OK *-1")


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        (Limits(watched_keys_max=2), "too many watched keys (limit watched_keys_max)"),
        (Limits(watched_total_max=2), "too many watched keys of all clients together"),
        (Limits(watched_bytes_max=2), "too many watched keys of all clients together"),
    ],
)
def test_marks_are_bounded(limits: Limits, why: str) -> None:
    talk = Conversation(limits)
    client = talk.client()
    client.says("WATCH a b", "WATCH c", "UNWATCH", "WATCH c")
    assert client.hears() == b"+OK\r\n" + f"-ERR quorate: {why}\r\n".encode() + b"+OK\r\n+OK\r\n"
