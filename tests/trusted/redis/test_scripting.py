"""Scripts: the locks of redis-py work, listed ones run as a narrower user, every other is refused with its reason."""

import pytest
from redis.asyncio.lock import Lock as AsyncLock
from redis.lock import Lock

from quorate.trusted.changes import EXTRA
from quorate.trusted.protocols.redis.base import Compiled, Refusal, Settings
from quorate.trusted.protocols.redis.deadlines import DEADLINE_MS_MAX
from quorate.trusted.protocols.redis.framing import encode_request
from quorate.trusted.protocols.redis.scripting import COMPILERS, EXTEND, REACQUIRE, RELEASE, RESPONDERS, lane_setup
from quorate.trusted.protocols.redis.scripts import (
    DEADLINE_OFFSET_MS,
    LOCK_EXTEND,
    LOCK_REACQUIRE,
    LOCK_RELEASE,
    REAP,
    digest,
)
from quorate.trusted.span import Effect, Span

from .support import NotingDialect, call_of, session_of

NOW = 1_000_000
LISTED = b"return redis.call('incr', KEYS[1])"
UNLISTED = b"return redis.call('time')"
HELD_NOW = b"%d" % (NOW + DEADLINE_OFFSET_MS)
NOSCRIPT = b"-NOSCRIPT No matching script. Please use EVAL.\r\n"


class Conversation:
    """One client of a cell whose operator listed one script."""

    def __init__(self) -> None:
        self.dialect = NotingDialect(settings=Settings(scripts=frozenset((digest(LISTED),))))
        self.session = session_of(self.dialect)
        self.effects: list[Effect] = []

    def run(self, *arguments: bytes, in_transaction: bool = False) -> Compiled:
        call = call_of(self.session, list(arguments), NOW, in_transaction)
        return COMPILERS[call.command.name](self.dialect, call)

    def ask(self, *arguments: bytes, in_transaction: bool = False) -> bytes | None:
        call = call_of(self.session, list(arguments), NOW, in_transaction)
        return RESPONDERS[call.command.name](self.dialect, call, self.effects)

    def left(self) -> list[int]:
        return [deadline - NOW for deadline in self.dialect.deadlines.candidates(0, b"lock")]

    def told(self, compiled: Compiled, reply: bytes) -> bytes:
        assert compiled.transform is not None
        return compiled.transform.tell(reply, self.dialect, NOW, [])


@pytest.fixture
def client() -> Conversation:
    return Conversation()


def refused(client: Conversation, *arguments: bytes, in_transaction: bool = False) -> bytes:
    with pytest.raises(Refusal) as refusal:
        client.run(*arguments, in_transaction=in_transaction)
    return refusal.value.answer


# The locks of redis-py.


@pytest.mark.parametrize("lock", [Lock, AsyncLock])
def test_the_known_digests_are_those_of_redis_py(lock: type[Lock] | type[AsyncLock]) -> None:
    texts = (lock.LUA_RELEASE_SCRIPT, lock.LUA_EXTEND_SCRIPT, lock.LUA_REACQUIRE_SCRIPT)
    assert [digest(text.encode()) for text in texts] == [RELEASE, EXTEND, REACQUIRE]


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ((b"EVALSHA", RELEASE), (b"EVALSHA", digest(LOCK_RELEASE), b"1", b"lock", b"token")),
        ((b"evalsha", RELEASE.upper()), (b"EVALSHA", digest(LOCK_RELEASE), b"1", b"lock", b"token")),
        ((b"EVAL", Lock.LUA_RELEASE_SCRIPT.encode()), (b"EVALSHA", digest(LOCK_RELEASE), b"1", b"lock", b"token")),
        ((b"EVALSHA_RO", RELEASE), (b"EVALSHA_RO", digest(LOCK_RELEASE), b"1", b"lock", b"token")),
    ],
)
def test_a_lock_is_released_by_a_script_of_ours(
    client: Conversation, arguments: tuple[bytes, ...], sent: tuple[bytes, ...]
) -> None:
    compiled = client.run(*arguments, b"1", b"lock", b"token")
    assert compiled.raw == encode_request(list(sent))
    assert compiled.transform is None


@pytest.mark.parametrize("in_transaction", [False, True])
def test_a_lock_is_reacquired_from_the_ordered_time(client: Conversation, in_transaction: bool) -> None:
    client.dialect.deadlines.set(0, b"lock", NOW + 5)
    for reply, left in ((b":0\r\n", [5]), (b":1\r\n", [300])):
        compiled = client.run(b"EVALSHA", REACQUIRE, b"1", b"lock", b"token", b"300", in_transaction=in_transaction)
        expected = [b"EVALSHA", digest(LOCK_REACQUIRE), b"1", b"lock", b"token", b"300", HELD_NOW]
        assert compiled.raw == encode_request(expected)
        assert client.left() == [5, 300]
        assert client.told(compiled, reply) == reply
        assert client.left() == left


def test_a_lock_is_extended_by_replacing_its_time(client: Conversation) -> None:
    compiled = client.run(b"EVALSHA", EXTEND, b"1", b"lock", b"token", b"300", b"1")
    expected = [b"EVALSHA", digest(LOCK_EXTEND), b"1", b"lock", b"token", b"300", b"1", HELD_NOW]
    assert compiled.raw == encode_request(expected)
    assert client.left() == [300]


def test_a_lock_is_extended_by_adding_to_its_time(client: Conversation) -> None:
    client.dialect.deadlines.set(0, b"lock", NOW + 5)
    compiled = client.run(b"EVALSHA", EXTEND, b"1", b"lock", b"token", b"300", b"0")
    expected = [b"EVALSHA", digest(LOCK_EXTEND), b"1", b"lock", b"token", b"300", b"0", HELD_NOW]
    assert compiled.raw == encode_request(expected)
    assert client.left() == [5, 305]
    client.told(compiled, b":1\r\n")
    assert client.left() == [305]


def test_a_lock_without_a_time_gets_none_by_adding(client: Conversation) -> None:
    compiled = client.run(b"EVALSHA", EXTEND, b"1", b"lock", b"token", b"300", b"0")
    assert compiled.transform is None
    assert client.left() == []


@pytest.mark.parametrize("name", [(REACQUIRE,), (EXTEND, b"1")])
def test_a_lock_given_no_time_ends_at_once(client: Conversation, name: tuple[bytes, ...]) -> None:
    compiled = client.run(b"EVALSHA", name[0], b"1", b"lock", b"token", b"0", *name[1:])
    assert b"$2\r\n-1\r\n" in compiled.raw
    assert client.dialect.deadlines.is_due(NOW)


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        ((RELEASE, b"1", b"lock"), b"-ERR quorate: too few keys or arguments for this lock script\r\n"),
        ((RELEASE, b"0", b"token"), b"-ERR quorate: too few keys or arguments for this lock script\r\n"),
        ((REACQUIRE, b"1", b"lock", b"token"), b"-ERR quorate: too few keys or arguments for this lock script\r\n"),
        ((EXTEND, b"1", b"lock", b"token", b"5"), b"-ERR quorate: too few keys or arguments for this lock script\r\n"),
        ((REACQUIRE, b"1", b"lock", b"token", b"soon"), b"-ERR value is not an integer or out of range\r\n"),
        ((REACQUIRE, b"1", b"lock", b"token", b"-5"), b"-ERR invalid expire time in 'pexpire' command\r\n"),
        (
            (REACQUIRE, b"1", b"lock", b"token", b"%d" % DEADLINE_MS_MAX),
            b"-ERR invalid expire time in 'pexpire' command\r\n",
        ),
    ],
)
def test_a_lock_script_with_wrong_arguments_is_refused(
    client: Conversation, arguments: tuple[bytes, ...], answer: bytes
) -> None:
    assert refused(client, b"EVALSHA", *arguments) == answer
    assert client.left() == []


# Listed and unlisted scripts.


def as_script_user(raw: bytes) -> bytes:
    skip = encode_request([b"CLIENT", b"REPLY", b"SKIP"])
    before = skip + encode_request([b"AUTH", b"quorate-scripts", b"-"])
    return before + raw + skip + encode_request([b"AUTH", b"default", b"-"])


@pytest.mark.parametrize(
    "arguments",
    [(b"EVAL", LISTED), (b"eval_ro", LISTED), (b"EVALSHA", digest(LISTED)), (b"EVALSHA_RO", digest(LISTED).upper())],
)
def test_a_listed_script_runs_as_the_script_user(client: Conversation, arguments: tuple[bytes, ...]) -> None:
    compiled = client.run(*arguments, b"1", b"key")
    assert compiled.raw == as_script_user(encode_request([*arguments, b"1", b"key"]))
    assert compiled.transform is None


def test_inside_a_transaction_a_listed_script_stands_between_two_results_that_nobody_is_told(
    client: Conversation,
) -> None:
    compiled = client.run(b"EVALSHA", digest(LISTED), b"1", b"key", in_transaction=True)
    assert b"SKIP" not in compiled.raw
    assert compiled.frames == 3
    assert compiled.transform is not None
    assert not compiled.transform.is_exact
    assert compiled.transform.canonical(b"+OK\r\n*1\r\n:1\r\n+OK\r\n") == b"*1\r\n:1\r\n"


@pytest.mark.parametrize("name", [b"EVAL", b"EVAL_RO"])
def test_an_unlisted_script_is_refused_with_its_reason(client: Conversation, name: bytes) -> None:
    expected = b"-ERR quorate refuses %b: this script is not on the operator's list\r\n" % name
    assert refused(client, name, UNLISTED, b"0") == expected


@pytest.mark.parametrize("name", [digest(UNLISTED), b"short", digest(REAP), digest(LOCK_RELEASE)])
def test_an_unknown_digest_leads_a_client_to_script_load(client: Conversation, name: bytes) -> None:
    assert refused(client, b"EVALSHA", name, b"0") == NOSCRIPT


@pytest.mark.parametrize(
    ("count", "answer"),
    [
        (b"x", b"-ERR value is not an integer or out of range\r\n"),
        (b"2", b"-ERR Number of keys can't be greater than number of args\r\n"),
        (b"-1", b"-ERR Number of keys can't be negative\r\n"),
    ],
)
@pytest.mark.parametrize("name", [digest(LISTED), digest(UNLISTED)])
def test_the_number_of_keys_is_checked_first(client: Conversation, name: bytes, count: bytes, answer: bytes) -> None:
    assert refused(client, b"EVALSHA", name, count, b"key") == answer


# SCRIPT LOAD and SCRIPT EXISTS.


def test_a_lock_script_is_loaded_without_a_slot(client: Conversation) -> None:
    assert client.ask(b"SCRIPT", b"LOAD", Lock.LUA_EXTEND_SCRIPT.encode()) == b"$40\r\n%b\r\n" % EXTEND
    assert client.effects == []


def test_a_listed_script_is_loaded_by_a_slot_of_the_cell(client: Conversation) -> None:
    assert client.ask(b"SCRIPT", b"LOAD", LISTED) == b"$40\r\n%b\r\n" % digest(LISTED)
    [span] = client.effects
    assert isinstance(span, Span)
    assert (span.owner, span.is_write, span.form) == (None, True, None)
    assert span.requests == [encode_request([b"SCRIPT", b"LOAD", LISTED])]


@pytest.mark.parametrize("name", [b"EVAL", b"EVAL_RO"])
def test_a_listed_script_that_ran_is_loaded_into_replicas_that_come_later(client: Conversation, name: bytes) -> None:
    client.dialect.changes.is_journaled = True
    for _ in range(2):
        client.run(name, LISTED, b"1", b"key")
        client.ask(b"SCRIPT", b"LOAD", LISTED)
    client.run(b"EVALSHA", digest(LISTED), b"1", b"key")
    assert client.dialect.loaded == {digest(LISTED): LISTED}
    assert client.dialect.changes.take_recent() == [(0, EXTRA, LISTED)], "the journal is told once"
    setup = lane_setup(client.dialect.settings, tuple(client.dialect.loaded.values()))
    assert setup[5] == [b"SCRIPT", b"LOAD", LISTED]
    assert len(setup) == len(lane_setup(client.dialect.settings)) + 1


def test_a_script_that_only_a_digest_named_is_not_known(client: Conversation) -> None:
    client.run(b"EVALSHA", digest(LISTED), b"1", b"key")
    assert client.dialect.loaded == {}


def test_an_unlisted_script_is_not_loaded(client: Conversation) -> None:
    with pytest.raises(Refusal, match="quorate refuses SCRIPT LOAD: this script is not on the operator's list"):
        client.ask(b"SCRIPT", b"LOAD", UNLISTED)
    assert client.effects == []


def test_which_scripts_exist_is_answered_here_when_none_is_listed(client: Conversation) -> None:
    assert client.ask(b"SCRIPT", b"EXISTS", RELEASE.upper(), digest(UNLISTED)) == b"*2\r\n:1\r\n:0\r\n"
    assert client.effects == []


@pytest.mark.parametrize("is_silent", [False, True])
def test_which_listed_scripts_exist_is_asked_of_the_replicas(client: Conversation, is_silent: bool) -> None:
    client.session.is_silent = is_silent
    request = [b"SCRIPT", b"EXISTS", RELEASE, digest(LISTED), digest(UNLISTED)]
    assert client.ask(*request) is None
    [span] = client.effects
    assert isinstance(span, Span)
    assert span.owner is (None if is_silent else client.session.client)
    assert not span.is_write
    assert span.requests == [encode_request(request)]
    told = client.told(Compiled(b"", span.form), b"*3\r\n:0\r\n:1\r\n:1\r\n")  # type: ignore[arg-type]
    assert told == b"*3\r\n:1\r\n:1\r\n:0\r\n"
    assert client.told(Compiled(b"", span.form), b"-ERR something\r\n") == b"-ERR something\r\n"  # type: ignore[arg-type]


def test_which_listed_scripts_exist_is_not_told_inside_a_transaction(client: Conversation) -> None:
    with pytest.raises(Refusal, match="SCRIPT EXISTS of a listed script inside MULTI"):
        client.ask(b"SCRIPT", b"EXISTS", digest(LISTED), in_transaction=True)
    assert client.ask(b"SCRIPT", b"EXISTS", RELEASE, in_transaction=True) == b"*1\r\n:1\r\n"


# Lanes.


def test_a_lane_loads_our_scripts() -> None:
    loads = [[b"SCRIPT", b"LOAD", script] for script in (REAP, LOCK_RELEASE, LOCK_EXTEND, LOCK_REACQUIRE)]
    assert lane_setup(Settings()) == [[b"SELECT", b"15"], *loads]


def test_a_lane_with_listed_scripts_has_a_user_for_them() -> None:
    user = lane_setup(Settings(scripts=frozenset((digest(LISTED),))))[-1]
    assert user[:3] == [b"ACL", b"SETUSER", b"quorate-scripts"]
    assert {b"reset", b"+get", b"+incr", b"+xgroup|create"} <= set(user)
    denied = "time set expire pexpireat ttl spop smembers hgetall keys scan xadd sort restore rename publish select"
    assert not {b"+" + name.encode() for name in denied.split()} & set(user)
