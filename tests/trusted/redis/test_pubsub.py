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


# Places in the order. Each talk decides its slots when it likes, as replicas do.


def test_a_subscription_does_not_hear_what_was_ordered_before_it() -> None:
    talk = Conversation()
    client = talk.client(3)
    client.says("PUBLISH a first", "SUBSCRIBE a", "PUBLISH a second")
    talk.decide(wire(":0"))
    assert client.hears() == wire(":0 >3 $9 subscribe $1 a :1")
    talk.decide(wire(":0"))
    assert client.hears() == wire(">3 $7 message $1 a $6 second :1")


@pytest.mark.parametrize(
    ("subscribe", "publish", "kind", "unsubscribe"),
    [
        ("SUBSCRIBE a", "PUBLISH a hi", "*3 $7 message $1 a $2 hi", "*3 $11 unsubscribe $1 a :0"),
        ("PSUBSCRIBE a", "PUBLISH a hi", "*4 $8 pmessage $1 a $1 a $2 hi", "*3 $12 punsubscribe $1 a :0"),
        ("SSUBSCRIBE a", "SPUBLISH a hi", "*3 $8 smessage $1 a $2 hi", "*3 $12 sunsubscribe $1 a :0"),
    ],
)
def test_who_ends_a_subscription_hears_what_was_ordered_before(
    subscribe: str, publish: str, kind: str, unsubscribe: str
) -> None:
    talk = Conversation()
    client, publisher = talk.client(), talk.client()
    client.says(subscribe)
    client.hears()
    publisher.says(publish)
    client.says(subscribe.replace("SUBSCRIBE", "UNSUBSCRIBE"), "PING")
    publisher.says(publish)
    assert client.hears() == b"", "what it hears before comes before"
    talk.decide(wire(":0"))
    assert client.hears() == wire(kind + " " + unsubscribe + " +PONG")
    talk.decide(wire(":0"))
    assert client.hears() == b""
    assert publisher.hears() == wire(":1 :0"), "who is counted is who hears it"


def test_who_comes_and_goes_between_two_publications_hears_what_lies_between() -> None:
    talk = Conversation()
    client, publisher = talk.client(), talk.client()
    publisher.says("PUBLISH a 1")
    client.says("SUBSCRIBE a", "UNSUBSCRIBE a", "SUBSCRIBE a")
    publisher.says("PUBLISH a 2")
    client.says("UNSUBSCRIBE a")
    publisher.says("PUBLISH a 3")
    client.says("SUBSCRIBE a")
    publisher.says("PUBLISH a 4")
    for _ in range(4):
        talk.decide(wire(":0"))
    assert client.hears() == wire(
        "*3 $9 subscribe $1 a :1 *3 $11 unsubscribe $1 a :0 *3 $9 subscribe $1 a :1 *3 $7 message $1 a $1 2"
        " *3 $11 unsubscribe $1 a :0 *3 $9 subscribe $1 a :1 *3 $7 message $1 a $1 4"
    )
    assert publisher.hears() == wire(":0 :1 :0 :1")


def test_a_message_stands_between_the_replies_of_a_client_that_pipelined() -> None:
    talk = Conversation()
    client, publisher = talk.client(3), talk.client()
    client.says("SUBSCRIBE a")
    client.hears()
    client.says("GET 1", "PING before")
    publisher.says("PUBLISH a hi")
    client.says("PING after", "GET 2", "PING last")
    talk.decide(wire("$1 1"))
    assert client.hears() == wire("$1 1 $6 before")
    talk.decide(wire(":0"))
    assert client.hears() == wire(">3 $7 message $1 a $2 hi $5 after"), "it waits for no later reply"
    talk.decide(wire("$1 2"))
    assert client.hears() == wire("$1 2 $4 last")


def test_what_a_plan_is_answered_stands_where_its_last_slot_does() -> None:
    talk = Conversation()
    client, publisher = talk.client(3), talk.client()
    client.says("SUBSCRIBE a", "BLPOP list 0", "PING")
    client.hears()
    publisher.says("PUBLISH a hi")
    talk.orders("LMPOP 1 list LEFT", "*2 $4 list *1 $1 v")
    assert client.hears() == wire("*2 $4 list $1 v"), "what was published later waits for nobody, nor does this for it"
    talk.decide(wire(":0"))
    assert client.hears() == wire(">3 $7 message $1 a $2 hi +PONG")


def test_a_wait_ends_after_what_was_published_before() -> None:
    talk = Conversation()
    client, publisher = talk.client(3), talk.client()
    client.says("SUBSCRIBE a", "BLPOP list 1")
    client.hears()
    talk.decide(wire("*-1"))
    publisher.says("PUBLISH a hi")
    talk.passes(2)
    assert client.hears() == b""
    talk.decide(wire(":0"))
    assert client.hears() == wire(">3 $7 message $1 a $2 hi _")


def test_a_parked_client_hears_what_is_published() -> None:
    talk = Conversation()
    client, publisher = talk.client(3), talk.client()
    client.says("SUBSCRIBE a", "BLPOP list 0")
    talk.decide(wire("*-1"))
    client.hears()
    publisher.says("PUBLISH a hi")
    talk.decide(wire(":0"))
    assert client.hears() == wire(">3 $7 message $1 a $2 hi")


@pytest.mark.parametrize("line", ["PUBLISH a hi", "MULTI"])
def test_what_is_not_decided_reaches_nobody_and_nobody_waits_for_it(line: str) -> None:
    talk = Conversation()
    client, publisher = talk.client(3), talk.client()
    client.says("SUBSCRIBE a")
    client.hears()
    publisher.says(*([line] if line != "MULTI" else ["MULTI", "SET k v", "PUBLISH a hi", "EXEC"]))
    client.says("UNSUBSCRIBE a")
    assert client.hears() == b""
    talk.abandon()
    assert client.hears() == wire(">3 $11 unsubscribe $1 a :0")
    assert b"-NOQUORUM slot 7" in publisher.hears()
    assert talk.protocol.switchboard.channels == {}


@pytest.mark.parametrize("reply", ["+OK +QUEUED -EXECABORT", "+OK +QUEUED *0"])
def test_a_transaction_that_the_replicas_refuse_publishes_nothing(reply: str) -> None:
    talk = Conversation()
    client, publisher = talk.client(3), talk.client()
    client.says("SUBSCRIBE a")
    publisher.says("MULTI", "PUBLISH a hi", "EXEC")
    client.says("PING")
    client.hears()
    talk.decide(wire(reply))
    assert client.hears() == wire("+PONG")


def test_a_transaction_s_messages_to_its_own_client_stand_behind_its_answer_and_before_later_ones() -> None:
    talk = Conversation()
    client, other = talk.client(3), talk.client(3)
    for subscriber in (client, other):
        subscriber.says("SUBSCRIBE a")
        subscriber.hears()
    client.says("MULTI", "PUBLISH a 1", "GET k", "PUBLISH a 2", "EXEC", "GET 2", "PING")
    client.hears()
    talk.decide(wire("+OK +QUEUED +QUEUED +QUEUED *3 :0 $1 v :0"))
    messages = wire(">3 $7 message $1 a $1 1 >3 $7 message $1 a $1 2")
    assert client.hears() == wire("*3 :2 $1 v :2") + messages
    assert other.hears() == messages
    talk.decide(wire("$1 2"))
    assert client.hears() == wire("$1 2 +PONG")


@pytest.mark.parametrize("requests", [["CLIENT REPLY OFF"], ["CLIENT REPLY OFF", "MULTI"]])
def test_who_wants_no_replies_is_told_pushes_all_the_same(requests: list[str]) -> None:
    talk = Conversation()
    client = talk.client(3)
    client.says("SUBSCRIBE a", *requests, "PUBLISH a hi", *(["EXEC"] if len(requests) > 1 else []))
    client.says("UNSUBSCRIBE a", "UNSUBSCRIBE", "PING")
    talk.decide(wire(":0") if len(requests) == 1 else wire("+OK +QUEUED *1 :0"))
    assert client.hears() == wire(
        ">3 $9 subscribe $1 a :1 >3 $7 message $1 a $2 hi >3 $11 unsubscribe $1 a :0 >3 $11 unsubscribe _ :0"
    )


def test_reset_and_quit_end_subscriptions_at_their_place() -> None:
    talk = Conversation()
    resetting, quitting, publisher = talk.client(3), talk.client(3), talk.client()
    for client in (resetting, quitting):
        client.says("SUBSCRIBE a", "PSUBSCRIBE b*", "SSUBSCRIBE s")
        client.hears()
    publisher.says("PUBLISH a 1")
    resetting.says("RESET", "PING")
    quitting.says("QUIT", "PING")
    publisher.says("PUBLISH a 2", "PUBSUB CHANNELS", "PUBSUB NUMPAT")
    assert (resetting.hears(), quitting.hears()) == (b"", b"")
    talk.decide(wire(":0"))
    message = wire(">3 $7 message $1 a $1 1")
    assert resetting.hears() == message + wire("+RESET +PONG"), "the message is as it spoke then"
    assert quitting.hears() == message + wire("+OK")
    assert quitting.client.is_closing
    talk.decide(wire(":0"))
    assert publisher.hears() == wire(":2 :0 *0 :0")


def test_a_message_is_told_in_the_version_that_was_spoken_when_it_was_ordered() -> None:
    talk = Conversation()
    client, publisher = talk.client(3), talk.client()
    client.says("SUBSCRIBE a", "HELLO 3")
    client.hears()
    publisher.says("PUBLISH a 1")
    client.says("HELLO 2")
    publisher.says("PUBLISH a 2")
    talk.decide(wire(":0"))
    told = client.hears()
    assert told.startswith(wire(">3 $7 message $1 a $1 1") + b"*14\r\n")
    talk.decide(wire(":0"))
    assert client.hears() == wire("*3 $7 message $1 a $1 2")
    client.says("UNSUBSCRIBE a", "HELLO 3", "SUBSCRIBE a")
    client.hears()
    for version in (2, 3):
        publisher.says("PUBLISH a 3")
        client.says("RESET", f"HELLO {version}", "SUBSCRIBE a")
    publisher.says("PUBLISH a 4")
    heard: list[bytes] = []
    for _ in range(3):
        talk.decide(wire(":0"))
        heard += [part + b"message" for part in client.hears().split(b"message")[:-1]]
    assert [part[-15:].lstrip(b"\n") for part in heard] == [
        b">3\r\n$7\r\nmessage",
        b"*3\r\n$7\r\nmessage",
        b">3\r\n$7\r\nmessage",
    ]


def test_who_left_is_not_counted_and_one_who_broke_the_protocol_hears_before_it_is_told() -> None:
    talk = Conversation()
    ended, gone, broken, publisher = (talk.client(3) for _ in range(4))
    for client in (ended, gone, broken):
        client.says("SUBSCRIBE a")
        client.hears()
    publisher.says("PUBLISH a hi")
    ended.says("UNSUBSCRIBE a")
    ended.leaves()
    gone.leaves()
    talk.perform(talk.protocol.read(broken.client, b"*1\r\nx\r\n", talk.now))
    assert broken.hears() == b""
    talk.decide(wire(":0"))
    assert publisher.hears() == wire(":1")
    assert broken.hears().startswith(wire(">3 $7 message $1 a $2 hi") + b"-ERR Protocol error")
    assert broken.client.is_closing
    broken.leaves()
    assert talk.protocol.switchboard.channels == {}


def test_what_was_ended_counts_until_all_that_it_may_hear_is_decided() -> None:
    talk = Conversation(Limits(subscriptions_total_max=1))
    client, publisher = talk.client(), talk.client()
    client.says("SUBSCRIBE a")
    publisher.says("PUBLISH b hi")
    client.says("UNSUBSCRIBE a", "SUBSCRIBE b")
    publisher.says("PUBSUB NUMSUB a", "PUBSUB CHANNELS")
    talk.decide(wire(":0"))
    assert client.hears().endswith(wire("*3 $11 unsubscribe $1 a :0") + b"-ERR quorate: too many subscriptions\r\n")
    assert publisher.hears() == wire(":0 *2 $1 a :0 *0")
    client.says("SUBSCRIBE b")
    assert client.hears() == wire("*3 $9 subscribe $1 b :1")
