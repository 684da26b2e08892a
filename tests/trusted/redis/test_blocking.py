"""Blocking commands: parked here, woken by writes, first come first served; only forms that never block take slots."""

from dataclasses import replace

import pytest

from quorate.trusted.limits import Limits
from quorate.trusted.protocols.redis.blocking import Wish
from quorate.trusted.protocols.redis.framing import RequestFramer
from tests.trusted.redis.conversation import Conversation, Talker, request_of, wire

LIMITS = Limits()
WRONG_TYPE = b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"


def parked(request: str = "BLPOP k 0", talk: Conversation | None = None) -> tuple[Conversation, Talker]:
    """A client that waits after its first attempt."""
    talk = talk or Conversation()
    client = talk.client()
    client.says(request)
    while talk.spans:
        talk.decide(wire("*-1"))
    assert client.hears() == b""
    return talk, client


@pytest.mark.parametrize(
    ("request_", "slot", "reply", "protocol", "answer"),
    [
        ("BLPOP a k 0", "LMPOP 2 a k LEFT", "*2 $1 k *1 $1 v", 2, "*2 $1 k $1 v"),
        ("BRPOP k k 0", "LMPOP 1 k RIGHT", "*2 $1 k *1 $1 v", 3, "*2 $1 k $1 v"),
        ("BZPOPMIN k 0", "ZMPOP 1 k MIN", "*2 $1 k *1 *2 $1 m $3 1.5", 2, "*3 $1 k $1 m $3 1.5"),
        ("BZPOPMAX k 0", "ZMPOP 1 k MAX", "*2 $1 k *1 *2 $1 m ,1.5", 3, "*3 $1 k $1 m ,1.5"),
        ("BLMOVE a b left RIGHT 0", "LMOVE a b left RIGHT", "$1 v", 2, "$1 v"),
        ("BRPOPLPUSH a b 0", "RPOPLPUSH a b", "$1 v", 2, "$1 v"),
        ("BLMPOP 0 1 k left COUNT 2", "LMPOP 1 k left COUNT 2", "*2 $1 k *1 $1 v", 2, "*2 $1 k *1 $1 v"),
        ("BZMPOP 0 1 k MIN", "ZMPOP 1 k MIN", "*2 $1 k *1 *2 $1 m ,1", 3, "*2 $1 k *1 *2 $1 m ,1"),
    ],
)
def test_what_is_there_is_given_at_once(request_: str, slot: str, reply: str, protocol: int, answer: str) -> None:
    talk = Conversation()
    client = talk.client(protocol)
    client.says(request_, "PING")
    talk.orders(slot, reply)
    assert client.hears() == wire(answer + " +PONG")
    assert not talk.protocol.parking


def test_an_error_is_passed_on() -> None:
    talk = Conversation()
    client = talk.client()
    client.says("BLPOP k 0", "BLMOVE a b LEFT LEFT 0")
    talk.decide(WRONG_TYPE)
    talk.decide(WRONG_TYPE)
    assert client.hears() == WRONG_TYPE * 2


def test_a_write_wakes_who_waits_on_its_key_and_only_there() -> None:
    talk, client = parked("BLPOP j k 0")
    other = talk.client()
    other.says("RPUSH x 1", "RPUSH k v", "LLEN k")
    talk.orders("RPUSH x 1", ":1")
    talk.orders("RPUSH k v", ":1")
    talk.orders("LMPOP 1 k LEFT", "*2 $1 k *1 $1 v")
    talk.orders("LLEN k", ":0")
    assert client.hears() == wire("*2 $1 k $1 v")
    assert other.hears() == wire(":1 :1 :0")


def test_first_come_first_served_until_nothing_is_left() -> None:
    talk, first = parked()
    _, second = parked(talk=talk)
    _, third = parked(talk=talk)
    talk.client().says("RPUSH k a b")
    talk.orders("RPUSH k a b", ":2")
    for client, element in ((first, "a"), (second, "b")):
        talk.orders("LMPOP 1 k LEFT", f"*2 $1 k *1 $1 {element}")
        assert client.hears() == wire(f"*2 $1 k $1 {element}")
    talk.orders("LMPOP 1 k LEFT", "*-1")
    assert (third.hears(), talk.waiting()) == (b"", [])


def test_who_waits_for_something_else_has_a_turn_of_its_own() -> None:
    talk, _ = parked()
    parked("BZPOPMIN k 0", talk)
    talk.client().says("ZADD k 1 m")
    talk.decide(b":1\r\n")
    assert talk.waiting() == ["LMPOP 1 k LEFT", "ZMPOP 1 k MIN"]


def test_a_key_touched_during_an_attempt_is_tried_afterwards() -> None:
    talk = Conversation()
    client = talk.client()
    other = talk.client()
    client.says("BLPOP j k 0")
    other.says("RPUSH k v", "RPUSH j w")
    talk.orders("LMPOP 2 j k LEFT", "*-1")
    talk.orders("RPUSH k v", ":1")
    talk.orders("RPUSH j w", ":1")
    talk.orders("LMPOP 1 k LEFT", "*-1")
    talk.orders("LMPOP 1 j LEFT", "*2 $1 j *1 $1 w")
    assert client.hears() == wire("*2 $1 j $1 w")


def test_who_leaves_with_something_hands_on_what_was_touched_meanwhile() -> None:
    talk, first = parked("BLPOP j k 0")
    _, second = parked("BLPOP k 0", talk)
    talk.client().says("RPUSH j v", "RPUSH k w")
    talk.orders("RPUSH j v", ":1")
    talk.orders("LMPOP 1 j LEFT", "*2 $1 j *1 $1 v")
    assert first.hears() == wire("*2 $1 j $1 v")
    talk.orders("RPUSH k w", ":1")
    talk.orders("LMPOP 1 k LEFT", "*2 $1 k *1 $1 w")
    assert second.hears() == wire("*2 $1 k $1 w")


def test_a_key_of_another_type_has_nothing_yet() -> None:
    talk, client = parked()
    talk.client().says("SET k x")
    talk.decide(b"+OK\r\n")
    talk.decide(WRONG_TYPE)
    assert client.hears() == b""
    assert len(talk.protocol.parking) == 1


def test_a_move_waits_for_its_source_but_fails_on_its_destination() -> None:
    talk, client = parked("BLMOVE a b LEFT RIGHT 0")
    other = talk.client()
    other.says("SET a x")
    talk.orders("SET a x", "+OK")
    assert talk.waiting() == ["LLEN a; LMOVE a b LEFT RIGHT"]
    talk.decide(WRONG_TYPE * 2)
    assert client.hears() == b""
    other.says("RPUSH a v")
    talk.orders("RPUSH a v", ":1")
    talk.decide(b":1\r\n" + WRONG_TYPE)
    assert client.hears() == WRONG_TYPE


def test_a_move_wakes_who_waits_on_its_destination_once_it_succeeded() -> None:
    talk, mover = parked("BRPOPLPUSH a b 0")
    _, popper = parked("BLPOP b 0", talk)
    talk.client().says("RPUSH a v")
    talk.orders("RPUSH a v", ":1")
    talk.orders("LLEN a; RPOPLPUSH a b", ":1 $1 v")
    assert mover.hears() == wire("$1 v")
    talk.orders("LMPOP 1 b LEFT", "*2 $1 b *1 $1 v")
    assert popper.hears() == wire("*2 $1 b $1 v")


def test_moves_in_a_circle_do_not_wake_each_other_for_ever() -> None:
    talk, _ = parked("BRPOPLPUSH a b 0")
    parked("BRPOPLPUSH b a 0", talk)
    talk.client().says("DEL a")
    talk.orders("DEL a", ":0")
    talk.decide(wire(":0 $-1"))
    assert talk.waiting() == []


def test_an_attempt_marks_watched_keys() -> None:
    talk = Conversation()
    watcher = talk.client()
    watcher.says("WATCH k")
    watcher.hears()
    parked(talk=talk)
    watcher.says("MULTI", "EXEC")
    assert watcher.hears() == wire("+OK *-1")


def test_a_write_to_unknown_keys_wakes_all() -> None:
    talk, _ = parked("BLPOP j k 0")
    talk.client().says("SWAPDB 0 1")
    talk.decide(b"+OK\r\n")
    talk.orders("LMPOP 1 j LEFT", "*-1")
    talk.orders("LMPOP 1 k LEFT", "*-1")
    assert talk.waiting() == []


@pytest.mark.parametrize(
    ("request_", "protocol", "null"),
    [("BLPOP k 2", 2, "*-1"), ("BLMOVE a b LEFT LEFT 2", 2, "*-1"), ("BZMPOP 2 1 k MIN", 3, "_")],
)
def test_a_wait_ends_with_null(request_: str, protocol: int, null: str) -> None:
    talk = Conversation()
    client = talk.client(protocol)
    client.says(request_)
    talk.decide(wire(null))
    assert talk.protocol.next_deadline() == talk.now + 2_000_000_000
    talk.passes(1.9)
    assert client.hears() == b""
    talk.passes(0.1)
    assert client.hears() == wire(null)
    assert not talk.protocol.parking
    assert talk.protocol.next_deadline() == 0


def test_a_timeout_during_an_attempt_is_decided_by_its_reply() -> None:
    talk, lucky = parked("BLPOP k 1")
    _, unlucky = parked("BLPOP j 1", talk)
    talk.client().says("RPUSH k v", "LTRIM j 0 0")
    talk.passes(2)
    assert lucky.hears() == b""
    talk.orders("RPUSH k v", ":1")
    talk.orders("LMPOP 1 k LEFT", "*2 $1 k *1 $1 v")
    talk.orders("LTRIM j 0 0", "+OK")
    talk.orders("LMPOP 1 j LEFT", "*-1")
    assert (lucky.hears(), unlucky.hears()) == (wire("*2 $1 k $1 v"), wire("*-1"))


def test_a_first_attempt_that_takes_longer_than_the_wait_ends_it() -> None:
    talk = Conversation()
    client = talk.client()
    client.says("BLPOP k 1")
    talk.passes(2)
    talk.orders("LMPOP 1 k LEFT", "*-1")
    assert client.hears() == wire("*-1")


def test_a_client_that_leaves_is_forgotten_at_once() -> None:
    talk, client = parked()
    _, second = parked("BLPOP k 5", talk)
    client.leaves()
    talk.client().leaves()
    assert len(talk.protocol.parking) == 1
    talk.client().says("RPUSH k v")
    talk.orders("RPUSH k v", ":1")
    second.leaves()
    assert not talk.protocol.parking
    assert talk.protocol.next_deadline() == 0
    talk.orders("LMPOP 1 k LEFT", "*-1")
    assert (client.hears(), second.hears(), talk.waiting()) == (b"", b"", [])


def test_who_is_behind_a_client_that_left_during_its_attempt_has_its_turn() -> None:
    talk, first = parked()
    _, second = parked(talk=talk)
    talk.client().says("RPUSH k a b")
    talk.orders("RPUSH k a b", ":2")
    first.leaves()
    talk.orders("LMPOP 1 k LEFT", "*2 $1 k *1 $1 a")
    talk.orders("LMPOP 1 k LEFT", "*2 $1 k *1 $1 b")
    assert (first.hears(), second.hears()) == (b"", wire("*2 $1 k $1 b"))


def test_who_wants_no_replies_takes_all_the_same() -> None:
    talk = Conversation()
    client = talk.client()
    client.says("CLIENT REPLY SKIP", "BLPOP k 0", "PING")
    talk.orders("LMPOP 1 k LEFT", "*2 $1 k *1 $1 v")
    assert client.hears() == wire("+PONG")


def test_an_attempt_without_a_decision_ends_the_wait() -> None:
    talk, client = parked()
    talk.client().says("RPUSH k v")
    talk.decide(b":1\r\n")
    talk.abandon()
    assert client.hears().startswith(b"-NOQUORUM")


def test_when_nothing_can_be_decided_any_more_nobody_waits() -> None:
    talk, client = parked()
    _, muted = parked(talk=talk)
    muted.talk.protocol.sessions[muted.client.number].is_muted = True
    for talker in (client, muted):
        talk.protocol.sessions[talker.client.number].queue.extend(RequestFramer(LIMITS).feed(request_of("GET k") * 2))
    talk.client().says("RPUSH k v")
    assert talk.protocol.next_deadline() == 0
    assert talk.protocol.next_deadline(is_lost=True) == 1
    talk.passes(1, lost="nobody votes")
    assert client.hears() == b"", "its attempt is under way"
    assert muted.hears() == b"-NOQUORUM nobody votes\r\n", "what it asked before it wanted no replies"
    assert not muted.client.is_waiting
    talk.decide(b":1\r\n")
    talk.orders("LMPOP 1 k LEFT", "*-1")
    assert client.hears() == b""
    talk.passes(1, lost="nobody votes")
    assert client.hears() == b"-NOQUORUM nobody votes\r\n" * 3
    assert talk.protocol.next_deadline(is_lost=True) == 0
    assert talk.waiting() == []


@pytest.mark.parametrize(
    ("limits", "request_", "name"),
    [
        (replace(LIMITS, parked_max=1), "BLPOP k 0", "parked_max"),
        (replace(LIMITS, parked_keys_max=1), "BLPOP j k 0", "parked_keys_max"),
        (replace(LIMITS, parked_bytes_max=400), "BLPOP k 0", "parked_bytes_max"),
    ],
)
def test_parking_is_bounded(limits: Limits, request_: str, name: str) -> None:
    talk, _ = parked("BLPOP k 0", Conversation(limits))
    late = talk.client()
    late.says(request_, "PING")
    assert name.encode() in late.hears()
    assert len(talk.protocol.parking) == 1


def test_waits_that_ended_early_do_not_pile_up() -> None:
    talk = Conversation()
    for _ in range(300):
        _, client = parked("BLPOP k 1000", talk)
        client.leaves()
    assert len(talk.protocol.parking._deadlines) < 100
    parked("BLPOP k 7", talk)
    assert talk.protocol.parking.next_ns() == talk.now + 7_000_000_000


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        ("BLPOP k x", b"-ERR timeout is not a float or out of range\r\n"),
        ("BLPOP k -1", b"-ERR timeout is negative\r\n"),
        ("BLMOVE a b LEFT UP x", b"-ERR syntax error\r\n"),
        ("BLMOVE a b LEFT LEFT x", b"-ERR timeout is not a float or out of range\r\n"),
        ("BLMPOP x 1 k LEFT", b"-ERR timeout is not a float or out of range\r\n"),
    ],
)
def test_wrong_arguments_are_refused_in_redis_words(request_: str, answer: bytes) -> None:
    talk = Conversation()
    client = talk.client()
    client.says(request_)
    assert client.hears() == answer


@pytest.mark.parametrize(
    "rest",
    [
        "0 k LEFT",
        "x k LEFT",
        "2 k LEFT",
        "1 k MIN",
        "1 k LEFT COUNT",
        "1 k LEFT COUNT 0",
        "1 k LEFT COUNT x",
        "1 k LEFT X 1",
    ],
)
def test_other_wrong_arguments_are_answered_by_the_replicas(rest: str) -> None:
    talk = Conversation()
    client = talk.client()
    client.says(f"BLMPOP x {rest}", "PING")
    talk.orders(f"LMPOP {rest}", "-ERR")
    assert client.hears() == wire("-ERR +PONG")


def test_inside_a_transaction_nothing_blocks() -> None:
    talk = Conversation()
    client = talk.client()
    client.says("MULTI", "BLPOP k 0", "BZPOPMIN z 0", "BLMPOP 0 0 k LEFT", "BLPOP k x", "EXEC")
    client.hears()
    assert talk.waiting() == ["MULTI; LMPOP 1 k LEFT; ZMPOP 1 z MIN; LMPOP 0 k LEFT; PING; EXEC"]
    talk.decide(wire("+OK +QUEUED +QUEUED +QUEUED +QUEUED *4 *2 $1 k *1 $1 v *-1 -ERR +PONG"))
    assert client.hears() == (wire("*4 *2 $1 k $1 v *-1 -ERR") + b"-ERR timeout is not a float or out of range\r\n")


def test_a_wish_says_how_to_ask_and_what_replies_mean() -> None:
    wish = Wish([b"k"], b"line")
    with pytest.raises(NotImplementedError):
        wish.first()
    with pytest.raises(NotImplementedError):
        wish.again(b"k")
    with pytest.raises(NotImplementedError):
        wish.outcome_again(b"*-1\r\n")


def test_who_sends_no_more_gets_what_is_there_but_does_not_wait_for_it() -> None:
    talk, worker = parked()
    ended = talk.client()
    ended.says("BLPOP k 0", "PING")
    ended.client.is_ending = True
    assert not talk.protocol.is_parked(ended.client), "an attempt is under way for it"
    talk.orders("LMPOP 1 k LEFT", "*-1")
    assert ended.client.is_closing
    assert len(talk.protocol.parking) == 1
    talk.client().says("RPUSH k v")
    talk.decide(b":1\r\n")
    assert talk.protocol.is_parked(worker.client) is False
    talk.orders("LMPOP 1 k LEFT", "*2 $1 k *1 $1 v")
    assert worker.hears() == wire("*2 $1 k $1 v")
