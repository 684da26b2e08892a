import pytest

from quorate.trusted.protocols.redis.base import Settings
from quorate.trusted.protocols.redis.framing import encode_request
from quorate.trusted.protocols.redis.scores import may_hold_minus_zero, without_minus_zero
from quorate.trusted.span import Span
from tests.trusted.redis.conversation import Conversation, Talker, request_of


@pytest.mark.parametrize("zero", [b"-0", b"-0.0", b"-.0e7", b"-1e-400", b"-0x0"])
def test_minus_zero_is_made_zero_however_it_is_written(zero: bytes) -> None:
    assert without_minus_zero([b"ZADD", b"z", zero, b"m"]) == encode_request([b"ZADD", b"z", b"0", b"m"])
    assert without_minus_zero([b"zincrby", b"z", zero, b"m"]) == encode_request([b"zincrby", b"z", b"0", b"m"])


def test_options_and_members_are_no_scores() -> None:
    request = [b"ZADD", b"z", b"xx", b"CH", b"-0", b"-0", b"1", b"-0"]
    assert without_minus_zero(request) == encode_request([*request[:4], b"0", b"-0", b"1", b"-0"])
    assert without_minus_zero([b"ZADD", b"z", b"NX", b"CH"]) == encode_request([b"ZADD", b"z", b"NX", b"CH"])


def test_an_option_ends_at_a_zero_byte_as_in_redis() -> None:
    assert without_minus_zero([b"ZADD", b"z", b"nx\0", b"-0", b"m"]) == encode_request(
        [b"ZADD", b"z", b"nx\0", b"0", b"m"]
    )


@pytest.mark.parametrize("score", [b"-1", b"-inf", b"-1e-300", b"-", b"-0k"])
def test_other_scores_stay_as_they_are(score: bytes) -> None:
    assert without_minus_zero([b"ZADD", b"z", score, b"m"]) == encode_request([b"ZADD", b"z", score, b"m"])


def test_most_requests_need_no_look_at_their_scores() -> None:
    assert not may_hold_minus_zero(encode_request([b"ZADD", b"z", b"1", b"a-0"]))
    assert may_hold_minus_zero(encode_request([b"ZADD", b"z", b"-0", b"a"]))


def test_a_client_cannot_give_replicas_minus_zero_not_even_in_a_transaction() -> None:
    client = Conversation().client()
    zero = request_of("ZADD z 0 m")
    assert lane_bytes(client, request_of("ZADD z -0 m")) == zero
    assert lane_bytes(client, request_of("ZADD z -1 m")) == request_of("ZADD z -1 m")
    client.says("MULTI")
    client.says("ZADD z -0.0 m")
    assert zero in lane_bytes(client, request_of("EXEC"))


def lane_bytes(client: Talker, data: bytes) -> bytes:
    effects = client.talk.protocol.read(client.client, data, client.talk.now)
    return b"".join(request for effect in effects if isinstance(effect, Span) for request in effect.requests)


# In a mixed cell.


def asked(*words: bytes) -> bytes:
    """What comes to the replicas of a mixed cell."""
    talk = Conversation(settings=Settings(unserved=frozenset(("lcs",)), is_mixed=True))
    return lane_bytes(talk.client(), encode_request(list(words)))


@pytest.mark.parametrize(
    "options",
    [
        b"",
        b"AGGREGATE MAX",
        b"WEIGHTS 1 1",
        b"weights 1.5 1e300 aggregate sum",
        b"WEIGHTS inf 0x1p3",
        b"WEIGHTS 1",
        b"WEIGHTS",
        b"NOPE -1",
    ],
)
@pytest.mark.parametrize("name", [b"ZUNIONSTORE", b"ZINTERSTORE"])
def test_weights_that_make_no_minus_zero_go_as_they_came(name: bytes, options: bytes) -> None:
    request = [name, b"to", b"2", b"WEIGHTS", b"0", *options.split()]
    assert asked(*request) == encode_request(request)


@pytest.mark.parametrize("weight", [b"0", b"-1", b"0.99", b"-inf", b"nan", b"x", b"", b"1e-300", b" 1"])
@pytest.mark.parametrize("option", [b"WEIGHTS", b"weights", b"Weights\0more"])
def test_other_weights_are_refused_where_variants_keep_the_sign_of_zero_differently(
    option: bytes, weight: bytes
) -> None:
    talk = Conversation(settings=Settings(unserved=frozenset(("lcs",)), is_mixed=True))
    request = [b"zunionstore", b"to", b"2", b"a", b"b", b"AGGREGATE", b"MIN", option, b"1", weight]
    client = talk.client()
    talk.perform(talk.protocol.read(client.client, encode_request(request), talk.now))
    assert client.hears() == (
        b"-ERR quorate refuses ZUNIONSTORE with a weight below 1: it may make zeros whose sign the variants of this"
        b" cell do not all keep\r\n"
    )
    assert talk.spans == []


@pytest.mark.parametrize("count", [b"x", b"0", b"-1", b"3"])
def test_a_wrong_number_of_keys_is_for_the_replicas_to_refuse(count: bytes) -> None:
    request = [b"ZINTERSTORE", b"to", count, b"a", b"WEIGHTS"]
    assert asked(*request) == encode_request(request)
