"""Subscriptions as conversations: kept here, served when a PUBLISH is decided."""

import pytest

from quorate.trusted.limits import Limits
from tests.trusted.redis.conversation import Conversation, wire


def test_a_message_goes_out_when_its_slot_is_decided() -> None:
    talk = Conversation()
    old, new, publisher = talk.client(2), talk.client(3), talk.client()
    old.says("SUBSCRIBE news", "PSUBSCRIBE n* x*")
    new.says("PSUBSCRIBE n?ws")
    assert old.hears() == wire("*3 $9 subscribe $4 news :1 *3 $10 psubscribe $2 n* :2 *3 $10 psubscribe $2 x* :3")
    assert new.hears() == wire(">3 $10 psubscribe $4 n?ws :1")
    publisher.says("PUBLISH news hi")
    assert old.hears() == b""
    talk.orders("PUBLISH news hi", ":0")
    assert publisher.hears() == wire(":3")
    assert old.hears() == wire("*3 $7 message $4 news $2 hi *4 $8 pmessage $2 n* $4 news $2 hi")
    assert new.hears() == wire(">4 $8 pmessage $4 n?ws $4 news $2 hi")


def test_shard_channels_are_apart() -> None:
    talk = Conversation()
    client, publisher = talk.client(), talk.client()
    client.says("SSUBSCRIBE news", "SUBSCRIBE news", "PSUBSCRIBE *")
    assert client.hears() == wire("*3 $10 ssubscribe $4 news :1 *3 $9 subscribe $4 news :1 *3 $10 psubscribe $1 * :2")
    publisher.says("SPUBLISH news hi")
    talk.decide(wire(":0"))
    assert publisher.hears() == wire(":1")
    assert client.hears() == wire("*3 $8 smessage $4 news $2 hi")


def test_who_publishes_to_itself_has_the_message_before_the_answer() -> None:
    talk = Conversation()
    client = talk.client(3)
    client.says("SUBSCRIBE a", "PUBLISH a hi")
    client.hears()
    talk.decide(wire(":0"))
    assert client.hears() == wire(">3 $7 message $1 a $2 hi :1")


def test_but_not_inside_a_transaction() -> None:
    talk = Conversation()
    client = talk.client(3)
    client.says("SUBSCRIBE a", "MULTI", "PUBLISH a hi", "EXEC")
    client.hears()
    talk.decide(wire("+OK +QUEUED *1 :0"))
    assert client.hears() == wire("*1 :1 >3 $7 message $1 a $2 hi")


@pytest.mark.parametrize("line", ["PUBLISH a hi", "SPUBLISH a hi"])
def test_what_replicas_refuse_is_not_delivered(line: str) -> None:
    talk = Conversation()
    client, publisher = talk.client(), talk.client()
    client.says("SUBSCRIBE a")
    client.hears()
    publisher.says(line)
    talk.decide(wire("-ERR"))
    assert publisher.hears() == wire("-ERR")
    assert client.hears() == b""


def test_subscriptions_end_one_by_one_or_all() -> None:
    talk = Conversation()
    client, other = talk.client(), talk.client()
    client.says("SUBSCRIBE a b c", "SUBSCRIBE a", "PSUBSCRIBE p", "SSUBSCRIBE s")
    other.says("SUBSCRIBE a")
    client.hears()
    client.says("UNSUBSCRIBE a nope", "UNSUBSCRIBE", "UNSUBSCRIBE")
    assert client.hears() == wire(
        "*3 $11 unsubscribe $1 a :3 *3 $11 unsubscribe $4 nope :3 *3 $11 unsubscribe $1 b :2"
        " *3 $11 unsubscribe $1 c :1 *3 $11 unsubscribe $-1 :1"
    )
    client.says("PUNSUBSCRIBE p", "SUNSUBSCRIBE s")
    assert client.hears() == wire("*3 $12 punsubscribe $1 p :0 *3 $12 sunsubscribe $1 s :0")
    other.says("PUBSUB NUMSUB a")
    assert other.hears().endswith(b"are allowed in this context\r\n")
    client.says("PUBSUB NUMSUB a b")
    assert client.hears() == wire("*4 $1 a :1 $1 b :0")


def test_a_subscriber_s_ping_is_a_message() -> None:
    talk = Conversation()
    client = talk.client()
    client.says("SUBSCRIBE a", "PING", "PING hi")
    assert client.hears() == wire("*3 $9 subscribe $1 a :1 *2 $4 pong") + b"$0\r\n\r\n" + wire("*2 $4 pong $2 hi")


def test_subscriptions_can_be_asked_about() -> None:
    talk = Conversation()
    client, other = talk.client(3), talk.client()
    client.says("SUBSCRIBE b a", "PSUBSCRIBE p*", "SSUBSCRIBE s")
    other.says("PUBSUB CHANNELS", "PUBSUB CHANNELS b*", "PUBSUB NUMPAT", "PUBSUB NUMSUB")
    assert other.hears() == wire("*2 $1 a $1 b *1 $1 b :1 *0")
    other.says("PUBSUB SHARDCHANNELS", "PUBSUB SHARDNUMSUB s a", "PUBSUB channels a b")
    assert other.hears() == wire("*1 $1 s *4 $1 s :1 $1 a :0") + (
        b"-ERR unknown subcommand or wrong number of arguments for 'channels'. Try PUBSUB HELP.\r\n"
    )


def test_who_leaves_is_no_subscriber() -> None:
    talk = Conversation()
    client, other = talk.client(), talk.client()
    client.says("SUBSCRIBE a", "PSUBSCRIBE a", "SSUBSCRIBE a")
    client.leaves()
    other.says("PUBSUB NUMSUB a", "PUBSUB NUMPAT", "PUBSUB SHARDNUMSUB a")
    assert other.hears() == wire("*2 $1 a :0 :0 *2 $1 a :0")


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        (Limits(subscriptions_max=2), "too many subscriptions"),
        (Limits(subscriptions_total_max=2), "too many subscriptions"),
        (
            Limits(subscriptions_bytes_max=2),
            "the names of all subscriptions are over the limit (subscriptions_bytes_max)",
        ),
    ],
)
def test_subscriptions_are_bounded(limits: Limits, why: str) -> None:
    talk = Conversation(limits)
    client = talk.client()
    client.says("SUBSCRIBE a b a", "PSUBSCRIBE c", "UNSUBSCRIBE a", "PSUBSCRIBE c")
    told = client.hears()
    assert f"-ERR quorate: {why}\r\n".encode() in told
    assert told.endswith(wire("*3 $10 psubscribe $1 c :2"))
