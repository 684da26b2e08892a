"""Random choices: the replicas give everything in canonical order, the coordinator draws, and shapes are Redis's."""

from dataclasses import replace

import pytest

from quorate.trusted.limits import Limits
from quorate.trusted.protocols.redis.base import Chance
from quorate.trusted.protocols.redis.sampling import draw
from quorate.trusted.protocols.redis.values import elements
from tests.trusted.redis.conversation import Conversation, wire

LIMITS = Limits()


def told(request: str, slot: str, reply: str, protocol: int = 2, limits: Limits = LIMITS) -> bytes:
    """What a client hears when this request becomes that slot."""
    talk = Conversation(limits)
    client = talk.client(protocol)
    client.says(request)
    talk.orders(slot, reply)
    return client.hears()


def test_draws_differ_from_each_other_and_follow_the_seed() -> None:
    drawn = draw(Chance(b"seed"), 100, 50)
    assert len(set(drawn)) == 50
    assert drawn == draw(Chance(b"seed"), 100, 50)
    assert drawn != draw(Chance(b"other"), 100, 50)
    counts = [0] * 4
    chance = Chance(b"seed")
    for _ in range(4000):
        counts[draw(chance, 4, 1)[0]] += 1
    assert min(counts) > 800


@pytest.mark.parametrize(
    ("request_", "slot", "reply", "protocol", "answer"),
    [
        ("SRANDMEMBER k", "SMEMBERS k", "*1 $1 a", 2, "$1 a"),
        ("SRANDMEMBER k", "SMEMBERS k", "*0", 2, "$-1"),
        ("SRANDMEMBER k", "SMEMBERS k", "~0", 3, "_"),
        ("SRANDMEMBER k 5", "SMEMBERS k", "~2 $1 b $1 a", 3, "*2 $1 a $1 b"),
        ("SRANDMEMBER k -2", "SMEMBERS k", "~1 $1 a", 3, "*2 $1 a $1 a"),
        ("SRANDMEMBER k -2", "SMEMBERS k", "*0", 2, "*0"),
        ("SRANDMEMBER k 2", "SMEMBERS k", "-WRONGTYPE x", 2, "-WRONGTYPE x"),
        ("SRANDMEMBER k 0", "SRANDMEMBER k 0", "*0", 2, "*0"),
        ("SRANDMEMBER k x", "SRANDMEMBER k x", "-ERR x", 2, "-ERR x"),
        ("SRANDMEMBER k 1 2", "SRANDMEMBER k 1 2", "-ERR x", 2, "-ERR x"),
        ("ZRANDMEMBER k", "ZRANGE k 0 -1 WITHSCORES", "*2 $1 a $1 1", 2, "$1 a"),
        ("ZRANDMEMBER k 3", "ZRANGE k 0 -1 WITHSCORES", "*1 *2 $1 a ,1", 3, "*1 $1 a"),
        ("ZRANDMEMBER k 3 withscores", "ZRANGE k 0 -1 WITHSCORES", "*1 *2 $1 a ,1", 3, "*1 *2 $1 a ,1"),
        ("ZRANDMEMBER k 3 withscores", "ZRANGE k 0 -1 WITHSCORES", "*2 $1 a $1 1", 2, "*2 $1 a $1 1"),
        ("ZRANDMEMBER k x", "ZRANDMEMBER k x", "-ERR x", 2, "-ERR x"),
        ("ZRANDMEMBER k 1 foo", "ZRANDMEMBER k 1 foo", "-ERR x", 2, "-ERR x"),
        ("ZRANDMEMBER k 1 withscores x", "ZRANDMEMBER k 1 withscores x", "-ERR x", 2, "-ERR x"),
        ("HRANDFIELD k", "HGETALL k", "*2 $1 a $1 1", 2, "$1 a"),
        ("HRANDFIELD k 2 withvalues", "HGETALL k", "%2 $1 b $1 2 $1 a $1 1", 3, "*2 *2 $1 a $1 1 *2 $1 b $1 2"),
        ("HRANDFIELD k -9223372036854775807 withvalues",) * 2 + ("-ERR x", 2, "-ERR x"),
        ("RANDOMKEY", "KEYS '*'", "*1 $1 a", 2, "$1 a"),
        ("RANDOMKEY", "KEYS '*'", "*0", 2, "$-1"),
        ("HKEYS k", "HGETALL k", "*4 $1 b $1 2 $1 a $1 1", 2, "*2 $1 a $1 b"),
        ("HVALS k", "HGETALL k", "%2 $1 b $1 2 $1 a $1 1", 3, "*2 $1 1 $1 2"),
        ("HVALS k", "HGETALL k", "-WRONGTYPE x", 3, "-WRONGTYPE x"),
    ],
)
def test_a_sample_has_the_shape_that_redis_gives(
    request_: str, slot: str, reply: str, protocol: int, answer: str
) -> None:
    assert told(request_, slot, reply, protocol) == wire(answer)


def test_a_positive_count_gives_different_elements_and_a_negative_one_repeats() -> None:
    everything = "*4 $1 a $1 b $1 c $1 d"
    assert len(set(elements(told("SRANDMEMBER k 3", "SMEMBERS k", everything)))) == 3
    repeated = elements(told("SRANDMEMBER k -100", "SMEMBERS k", everything))
    assert len(repeated) == 100
    assert set(repeated) == set(elements(wire(everything)))


def test_inside_a_transaction_the_sample_is_one_of_its_results() -> None:
    talk = Conversation()
    client = talk.client()
    client.says("MULTI", "SRANDMEMBER k", "HKEYS h", "EXEC")
    client.hears()
    talk.decide(wire("+OK +QUEUED +QUEUED *2 *1 $1 a *2 $1 f $1 v"))
    assert client.hears() == wire("*2 $1 a *1 $1 f")


def test_what_one_request_may_draw_is_bounded() -> None:
    few = replace(LIMITS, sample_max=2)
    assert b"sample_max" in told("SRANDMEMBER k -3", "SMEMBERS k", "*1 $1 a", limits=few)
    assert told("SRANDMEMBER k 3", "SMEMBERS k", "*3 $1 a $1 b $1 c", limits=few) == wire("*3 $1 a $1 b $1 c")
    small = replace(LIMITS, reply_bytes_max=20)
    assert b"reply_bytes_max" in told("SRANDMEMBER k -3", "SMEMBERS k", "*1 $1 a", limits=small)


def test_spop_reads_then_removes_what_it_drew() -> None:
    talk = Conversation()
    client = talk.client()
    client.says("SPOP k", "PING")
    talk.orders("SMEMBERS k", "*1 $1 a")
    assert talk.spans[0].is_write
    talk.orders("SREM k a", ":1")
    assert client.hears() == wire("$1 a +PONG")


def test_spop_with_a_count_removes_all_in_one_slot() -> None:
    talk = Conversation()
    client = talk.client(3)
    client.says("SPOP k 9")
    talk.orders("SMEMBERS k", "~2 $1 b $1 a")
    assert talk.spans[0].frames == 2
    talk.orders("SREM k a; SREM k b", ":1 :1")
    assert client.hears() == wire("~2 $1 a $1 b")


def test_spop_that_would_name_its_key_too_often_is_refused() -> None:
    """Each member is removed by a request of its own."""
    talk = Conversation(replace(LIMITS, request_bytes_max=100_000))
    client = talk.client()
    name = "k" * 20_000
    client.says(f"SPOP {name} 5", f"SPOP {name} 4")
    members = "$1 a $1 b $1 c $1 d $1 e"
    talk.orders(f"SMEMBERS {name}", f"*5 {members}")
    assert b"too many random elements" in client.hears()
    talk.orders(f"SMEMBERS {name}", f"*5 {members}")
    assert talk.spans[0].frames == 4


@pytest.mark.parametrize(("request_", "answer"), [("SPOP k", "$-1"), ("SPOP k 2", "*0")])
def test_spop_of_nothing(request_: str, answer: str) -> None:
    talk = Conversation()
    client = talk.client()
    client.says(request_)
    talk.orders("SMEMBERS k", "*0")
    assert client.hears() == wire(answer)


@pytest.mark.parametrize("request_", ["SPOP k 0", "SPOP k -1", "SPOP k x", "SPOP k 1 2"])
def test_spop_that_pops_nothing_needs_no_plan(request_: str) -> None:
    talk = Conversation()
    client = talk.client()
    client.says(request_, "GET x")
    assert len(talk.waiting()) == 2
    talk.orders(request_, "-ERR x")
    assert client.hears() == wire("-ERR x")


def test_spop_draws_again_what_somebody_else_took() -> None:
    talk = Conversation()
    client = talk.client()
    client.says("SPOP k 2")
    talk.orders("SMEMBERS k", "*2 $1 a $1 b")
    talk.decide(wire(":1 :0"))
    taken = 1
    assert client.hears() == b""
    talk.orders("SMEMBERS k", "*1 $1 c")
    talk.orders("SREM k c", ":1")
    assert len(elements(client.hears())) == taken + 1


def test_spop_of_more_than_there_is_is_content_with_what_it_got() -> None:
    talk = Conversation()
    client = talk.client()
    client.says("SPOP k 5")
    talk.orders("SMEMBERS k", "*2 $1 a $1 b")
    talk.orders("SREM k a; SREM k b", ":1 :0")
    assert client.hears() == wire("*1 $1 a")


def test_spop_gives_up_after_so_many_rounds() -> None:
    talk = Conversation(replace(LIMITS, step_retries_max=1))
    client = talk.client()
    client.says("SPOP k")
    for _ in range(2):
        talk.orders("SMEMBERS k", "*1 $1 a")
        talk.orders("SREM k a", ":0")
    assert client.hears().startswith(b"-TRYAGAIN")


def test_spop_of_something_else_or_of_too_much() -> None:
    talk = Conversation(replace(LIMITS, sample_max=1))
    client = talk.client()
    client.says("SPOP k", "SPOP k 2")
    talk.orders("SMEMBERS k", "-WRONGTYPE x")
    assert client.hears() == wire("-WRONGTYPE x")
    talk.orders("SMEMBERS k", "*2 $1 a $1 b")
    assert b"sample_max" in client.hears()


def test_spop_whose_slots_are_not_decided() -> None:
    talk = Conversation()
    client = talk.client()
    client.says("SPOP k")
    talk.abandon()
    assert client.hears().startswith(b"-NOQUORUM")
    client.says("SPOP k")
    talk.orders("SMEMBERS k", "*1 $1 a")
    talk.abandon()
    assert client.hears().startswith(b"-NOQUORUM")


def test_spop_of_a_client_that_left() -> None:
    talk = Conversation()
    client = talk.client()
    client.says("SPOP k")
    client.leaves()
    talk.orders("SMEMBERS k", "*1 $1 a")
    assert not talk.spans
    client = talk.client()
    client.says("SPOP k 2")
    talk.orders("SMEMBERS k", "*2 $1 a $1 b")
    client.leaves()
    talk.decide(wire(":0 :0"))
    assert not talk.spans


def test_spop_when_all_that_it_drew_was_taken() -> None:
    talk = Conversation()
    client = talk.client(3)
    client.says("SPOP k 5")
    talk.orders("SMEMBERS k", "~1 $1 a")
    talk.orders("SREM k a", ":0")
    talk.orders("SMEMBERS k", "~0")
    assert client.hears() == wire("~0")


def test_spop_draws_one_of_several() -> None:
    talk = Conversation()
    client = talk.client()
    client.says("SPOP k")
    talk.orders("SMEMBERS k", "*3 $1 a $1 b $1 c")
    drawn = talk.waiting()[0].removeprefix("SREM k ")
    assert drawn in "abc"
    talk.decide(b":1\r\n")
    assert client.hears() == wire(f"$1 {drawn}")
