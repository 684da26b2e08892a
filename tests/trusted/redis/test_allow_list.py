"""Which command a request is, and what is refused whatever its arguments say."""

import pytest

from quorate.trusted.protocols.redis.allow_list import check, look_up, shown_name
from quorate.trusted.protocols.redis.base import Refusal
from quorate.trusted.protocols.redis.session import Session
from tests.trusted.redis.support import TABLE, NotingDialect, session_of


@pytest.fixture
def session() -> Session:
    return session_of(NotingDialect())


def refused(session: Session, request: str, is_memory_full: bool = False, is_journal_full: bool = False) -> str:
    """The error of a request; empty when it may be served."""
    arguments = request.encode().split()
    try:
        check(session, look_up(TABLE, arguments), len(arguments), is_memory_full, is_journal_full)
    except Refusal as refusal:
        return str(refusal)
    return ""


@pytest.mark.parametrize(
    ("request_", "name"),
    [
        ("GET k", "get"),
        ("gEt k", "get"),
        ("object Encoding k", "object|encoding"),
        ("OBJECT", "object"),
        ("PING", "ping"),
    ],
)
def test_commands_and_subcommands_are_found_in_any_case(request_: str, name: str) -> None:
    assert look_up(TABLE, request_.encode().split()).name == name


def test_unknown_names_are_shown_as_redis_shows_them(session: Session) -> None:
    assert refused(session, "NOPE") == "ERR unknown command 'NOPE', with args beginning with: "
    assert refused(session, "NOPE a b") == "ERR unknown command 'NOPE', with args beginning with: 'a' 'b' "
    long = refused(session, "N" * 200 + " " + "a" * 100 + " " + "b" * 100 + " c")
    assert long == f"ERR unknown command '{'N' * 128}', with args beginning with: '{'a' * 100}' '{'b' * 25}' "
    assert refused(session, "OBJECT NOPE") == "ERR unknown subcommand 'NOPE'. Try OBJECT HELP."


def test_the_number_of_arguments_is_checked_first(session: Session) -> None:
    session.is_authenticated = False
    assert refused(session, "GET") == "ERR wrong number of arguments for 'get' command"
    assert refused(session, "OBJECT") == "ERR wrong number of arguments for 'object' command"
    assert refused(session, "OBJECT FREQ") == "ERR wrong number of arguments for 'object|freq' command"


def test_who_is_not_authenticated_may_only_change_that(session: Session) -> None:
    session.is_authenticated = False
    for request_ in ("GET k", "DUMP k", "PING", "COMMAND"):
        assert refused(session, request_) == "NOAUTH Authentication required."
    for request_ in ("AUTH x", "HELLO 3", "RESET", "QUIT"):
        assert refused(session, request_) == ""


def test_refusals_name_the_command_and_the_reason(session: Session) -> None:
    assert refused(session, "CLIENT KILL x y").startswith("ERR quorate refuses CLIENT KILL: the coordinator serves all")
    assert shown_name("client|kill") == "CLIENT KILL"


def test_a_subscriber_of_the_old_protocol_may_do_little(session: Session) -> None:
    session.channels[b"news"] = 1
    assert refused(session, "GET k").startswith("ERR Can't execute 'get': only (P|S)SUBSCRIBE")
    assert refused(session, "PING") == ""
    session.protocol = 3
    assert refused(session, "GET k") == ""


def test_growing_writes_are_refused_while_memory_is_full(session: Session) -> None:
    assert refused(session, "SET k v", is_memory_full=True) == "OOM command not allowed when used memory > 'maxmemory'."
    assert refused(session, "DEL k", is_memory_full=True) == ""


def test_a_full_journal_refuses_what_writes_and_nothing_else(session: Session) -> None:
    for request in ("DEL a", "SET a 1", "PFCOUNT a"):
        assert refused(session, request, is_journal_full=True).startswith("MISCONF quorate: the disk has no room")
    assert refused(session, "GET a", is_journal_full=True) == ""
