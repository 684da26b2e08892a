"""MULTI, EXEC, DISCARD, WATCH and UNWATCH. Each takes the session and the whole request, and returns the reply."""

from . import reply
from .errors import Refusal
from .session import Arguments, Command, Session

ABORTED = Refusal(b"EXECABORT Transaction discarded because of previous errors.")


def multi(session: Session, arguments: Arguments) -> bytes:
    """MULTI."""
    if session.queue is not None:
        raise Refusal(b"ERR MULTI calls can not be nested")
    session.queue = []
    return reply.OK


def exec_(session: Session, arguments: Arguments) -> bytes:
    """EXEC."""
    queue = session.queue
    if queue is None:
        raise Refusal(b"ERR EXEC without MULTI")
    for index, key in list(session.watched):
        session.keyspace.databases[index].get(key)  # one that expired meanwhile counts as changed
    is_doomed, is_stale = session.is_doomed, session.stale
    session.leave_transaction()
    if is_doomed:
        raise ABORTED
    if is_stale:
        return session.reply.null_array
    header = b"" if session.is_mute else b"*%d\r\n" % len(queue)
    return header + b"".join([run(session, command, queued) for command, queued in queue])


def aborted(refusal: Refusal) -> Refusal:
    """What a malformed EXEC is answered with: it ends the transaction, and there need not be one."""
    return Refusal(b"EXECABORT Transaction discarded because of: " + refusal.taken().removeprefix(b"ERR "))


def run(session: Session, command: Command, arguments: Arguments) -> bytes:
    """Run one queued command; nothing where the connection turned its replies off in between."""
    try:
        answer = command.handler(session, arguments)
    except Refusal as refusal:
        answer = reply.error(refusal.taken())
    return b"" if session.is_mute else answer


def discard(session: Session, arguments: Arguments) -> bytes:
    """DISCARD."""
    if session.queue is None:
        raise Refusal(b"ERR DISCARD without MULTI")
    session.leave_transaction()
    return reply.OK


def watch(session: Session, arguments: Arguments) -> bytes:
    """WATCH key…."""
    if session.queue is not None:
        raise Refusal(b"ERR WATCH inside MULTI is not allowed")
    for key in arguments[1:]:
        session.watch(key)
    return reply.OK


def unwatch(session: Session, arguments: Arguments) -> bytes:
    """UNWATCH."""
    session.unwatch()
    return reply.OK


COMMANDS = {
    b"MULTI": Command(1, multi, is_immediate=True),
    b"EXEC": Command(1, exec_, is_immediate=True),
    b"DISCARD": Command(1, discard, is_immediate=True),
    b"WATCH": Command(-2, watch, is_immediate=True),
    b"UNWATCH": Command(1, unwatch),
}
