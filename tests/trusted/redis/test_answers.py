"""What the coordinator answers itself. That the words are Redis's is held by tests/real/test_answers_reference.py."""

import pytest

from quorate.trusted.limits import Limits
from quorate.trusted.protocols.redis.base import Settings
from tests.trusted.redis.conversation import Conversation, Talker, wire

LOCKED = Settings(password=b"secret")
WRONGPASS = b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"


@pytest.fixture
def client() -> Talker:
    return Conversation().client()


def answer(client: Talker, line: str) -> bytes:
    client.says(line)
    return client.hears()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("PING", "+PONG"),
        ("PING hi", "$2 hi"),
        ("ECHO hi", "$2 hi"),
        ("LASTSAVE", ":0"),
        ("MODULE LIST", "*0"),
        ("ROLE", "*3 $6 master :0 *0"),
        ("ACL WHOAMI", "$7 default"),
        ("TIME", "*2 $4 1000 $1 0"),
        ("WAIT 0 0", ":0"),
        ("CLIENT ID", ":1"),
        ("CLIENT GETREDIR", ":-1"),
        ("CLIENT TRACKINGINFO", "*6 $5 flags *1 $3 off $8 redirect :-1 $8 prefixes *0"),
    ],
)
def test_plain_answers(client: Talker, line: str, told: str) -> None:
    assert answer(client, line) == wire(told)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("PING a b", "wrong number of arguments for 'ping' command"),
        ("SELECT 16", "DB index is out of range"),
        ("SELECT x", "value is not an integer or out of range"),
        ("WAIT x 0", "value is not an integer or out of range"),
        ("WAIT 0 x", "timeout is not an integer or out of range"),
        ("WAIT 0 -1", "timeout is negative"),
        ("READONLY", "This instance has cluster support disabled"),
        ("READWRITE", "This instance has cluster support disabled"),
        ("AUTH a b c", "syntax error"),
        ("CLIENT SETNAME 'a b'", "Client names cannot contain spaces, newlines or special characters."),
        ("CLIENT SETINFO NOPE x", "Unrecognized option 'NOPE'"),
        ("CLIENT REPLY NOPE", "syntax error"),
        ("HELLO x", "Protocol version is not an integer or out of range"),
        ("HELLO 3 NOPE", "Syntax error in HELLO option 'NOPE'"),
        ("HELLO 3 AUTH default", "Syntax error in HELLO option 'AUTH'"),
        ("HELLO 3 SETNAME", "Syntax error in HELLO option 'SETNAME'"),
    ],
)
def test_errors(client: Talker, line: str, error: str) -> None:
    assert answer(client, line) == f"-ERR {error}\r\n".encode()


def test_a_subscriber_of_the_old_protocol_is_answered_in_its_form(client: Talker) -> None:
    client.says("SUBSCRIBE a")
    client.hears()
    assert answer(client, "PING hi") == wire("*2 $4 pong $2 hi")


def test_lolwut_names_the_release(client: Talker) -> None:
    assert answer(client, "LOLWUT").endswith(b"Redis ver. 7.0.15\n\r\n")


def test_the_database_is_the_connection_s(client: Talker) -> None:
    client.says("SELECT 3", "GET k")
    client.talk.client().says("GET k")
    assert [span.mode & 0xFFFF for span in client.talk.spans] == [3, 0]


def test_quit_answers_and_ends(client: Talker) -> None:
    assert answer(client, "QUIT") == wire("+OK")
    assert client.client.is_closing


def test_reset_makes_a_connection_as_new() -> None:
    talk = Conversation(settings=LOCKED)
    client = talk.client()
    client.says("HELLO 3 AUTH default secret SETNAME me", "SELECT 3", "SUBSCRIBE a", "RESET")
    assert client.hears().endswith(wire("+RESET"))
    session = talk.protocol.sessions[1]
    assert (session.protocol, session.database, session.name, session.subscriptions) == (2, 0, b"", 0)
    assert answer(client, "PING") == b"-NOAUTH Authentication required.\r\n"


# AUTH and HELLO.


def test_without_a_password_anybody_is_the_default_user(client: Talker) -> None:
    assert answer(client, "AUTH x").startswith(b"-ERR AUTH <password> called without any password")
    assert answer(client, "AUTH default x") == wire("+OK")
    assert answer(client, "AUTH nobody x") == WRONGPASS


def test_a_password_is_checked_here() -> None:
    talk = Conversation(settings=LOCKED)
    client = talk.client()
    for line in ("AUTH wrong", "AUTH default wrong", "AUTH nobody secret", "HELLO 3 AUTH default wrong"):
        assert answer(client, line) == WRONGPASS
    assert answer(client, "HELLO 3").startswith(b"-NOAUTH HELLO must be called with the client already authenticated")
    assert answer(client, "AUTH secret") == wire("+OK")
    assert answer(client, "HELLO 3").startswith(b"%7\r\n")
    assert talk.waiting() == []


def test_hello_chooses_the_protocol_and_changes_nothing_when_it_fails(client: Talker) -> None:
    assert answer(client, "HELLO").startswith(b"*14\r\n$6\r\nserver\r\n$5\r\nredis\r\n")
    assert answer(client, "HELLO 4") == b"-NOPROTO unsupported protocol version\r\n"
    assert answer(client, "HELLO 3 SETNAME me NOPE").startswith(b"-ERR Syntax error")
    assert answer(client, "CLIENT GETNAME") == wire("$-1")
    assert answer(client, "HELLO 3 SETNAME me").startswith(b"%7\r\n")
    assert answer(client, "CLIENT GETNAME") == wire("$2 me")
    assert answer(client, "CLIENT TRACKINGINFO").startswith(b"%3\r\n$5\r\nflags\r\n~1\r\n")
    client.says("GET k")
    assert client.talk.spans[0].mode >> 16 == 3


# CLIENT.


def test_names_are_kept_here_and_bounded() -> None:
    client = Conversation(Limits(client_name_bytes_max=3)).client()
    assert answer(client, "CLIENT SETNAME abc") == wire("+OK")
    for line in ("CLIENT SETNAME abcd", "CLIENT SETINFO LIB-NAME abcd", "HELLO 3 SETNAME abcd"):
        assert answer(client, line) == b"-ERR quorate: the name is over the limit (client_name_bytes_max)\r\n"
    assert answer(client, "CLIENT GETNAME") == wire("$3 abc")
    assert answer(client, "CLIENT SETNAME ''") == wire("+OK")
    assert answer(client, "CLIENT GETNAME") == wire("$-1")


def test_connections_are_listed(client: Talker) -> None:
    other = client.talk.client()
    client.says("CLIENT SETNAME me", "CLIENT SETINFO lib-name redis-py", "CLIENT SETINFO LIB-VER 5", "WATCH k")
    client.hears()
    line = b"id=1 addr=test name=me db=0 sub=0 psub=0 ssub=0 multi=-1 watch=1 user=default resp=2 lib-name=redis-py lib-ver=5\n"  # noqa: E501
    assert answer(client, "CLIENT INFO") == b"$%d\r\n%b\r\n" % (len(line), line)
    client.says("MULTI", "PING")
    client.hears()
    listed = answer(other, "CLIENT LIST").split(b"\n")
    assert b" multi=1 " in listed[1]
    assert listed[2].startswith(b"id=2 ")


def test_replies_can_be_turned_off_for_all_requests_or_the_next(client: Talker) -> None:
    assert answer(client, "CLIENT REPLY ON") == wire("+OK")
    client.says("CLIENT REPLY SKIP", "PING", "PING hi")
    assert client.hears() == wire("$2 hi")
    client.says("CLIENT REPLY OFF", "CLIENT REPLY SKIP", "PING", "CLIENT REPLY ON")
    assert client.hears() == wire("+OK")
    client.says("CLIENT REPLY OFF", "PING", "RESET", "PING")
    assert client.hears() == wire("+RESET +PONG"), "RESET turns them on again, and is answered"
    client.says("CLIENT REPLY SKIP", "RESET", "PING")
    assert client.hears() == wire("+PONG")
