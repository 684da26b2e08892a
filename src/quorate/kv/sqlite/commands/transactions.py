"""MULTI, EXEC, DISCARD, WATCH, UNWATCH."""

from .. import reply
from ..errors import CommandError
from ..registry import COMMANDS, CONTAINERS, command
from ..session import Session


@command(b"multi", 1, queued=False)
def multi(session: Session, arguments: list[bytes]) -> bytes:
    """MULTI."""
    if session.queue is not None:
        raise CommandError(b"ERR MULTI calls can not be nested")
    session.begin()
    return reply.OK


@command(b"discard", 1, queued=False)
def discard(session: Session, arguments: list[bytes]) -> bytes:
    """DISCARD."""
    if session.queue is None:
        raise CommandError(b"ERR DISCARD without MULTI")
    session.leave()
    return reply.OK


@command(b"exec", 1, queued=False)
def execute(session: Session, arguments: list[bytes]) -> bytes:
    """EXEC: answers by itself, because a queued CLIENT REPLY decides which of the replies are sent."""
    queue = session.queue
    if queue is None:
        raise CommandError(b"ERR EXEC without MULTI")
    refused, spoiled = session.refused, session.is_spoiled()
    session.leave()
    if refused:
        raise CommandError(b"EXECABORT Transaction discarded because of previous errors.")
    if spoiled:
        return reply.null_array(session.protocol)
    session.emit(b"*%d\r\n" % len(queue))
    for request in queue:
        answer = _answer(session, request)
        if answer:
            session.emit(answer)
    return b""


def _answer(session: Session, request: list[bytes]) -> bytes:
    # What was queued was looked up then, and the table does not change.
    word = request[0].lower()
    entry = CONTAINERS[word][request[1].lower()] if word in CONTAINERS and len(request) > 1 else COMMANDS[word]
    try:
        return entry.execute(session, request)
    except CommandError as refusal:
        return reply.error(refusal.text)


@command(b"watch", -2, queued=False)
def watch(session: Session, arguments: list[bytes]) -> bytes:
    """WATCH key [key ...]."""
    if session.queue is not None:
        raise CommandError(b"ERR WATCH inside MULTI is not allowed")
    for name in arguments[1:]:
        session.watch(name)
    return reply.OK


@command(b"unwatch", 1)
def unwatch(session: Session, arguments: list[bytes]) -> bytes:
    """UNWATCH."""
    session.unwatch()
    return reply.OK
