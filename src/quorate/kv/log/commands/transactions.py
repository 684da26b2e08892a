"""MULTI and what belongs to it. Knows sessions; touches no value."""

from ..faults import Refusal, error
from ..framing import Request
from ..replies import OK
from ..session import Command, Session


def _multi(session: Session, request: Request) -> bytes:
    if session.queue is not None:
        raise error(b"MULTI calls can not be nested")
    session.queue = []
    session.queue_failed = False
    return OK


def _exec(session: Session, request: Request) -> bytes:
    queue = session.queue
    if queue is None:
        raise error(b"EXEC without MULTI")
    session.notice_expiry()
    failed, overtaken = session.queue_failed, session.is_overtaken
    session.leave_transaction()
    if failed:
        raise Refusal(b"EXECABORT Transaction discarded because of previous errors.")
    if overtaken:
        return session.encoding.null_array
    # Each reply is sent by itself, because a command in the queue may begin or end the silence.
    session.emit(b"*%d\r\n" % len(queue))
    for command, words in queue:
        session.emit(session.execute(command, words))
    return b""


def _discard(session: Session, request: Request) -> bytes:
    if session.queue is None:
        raise error(b"DISCARD without MULTI")
    session.leave_transaction()
    return OK


def _watch(session: Session, request: Request) -> bytes:
    if session.queue is not None:
        raise error(b"WATCH inside MULTI is not allowed")
    for key in request[1:]:
        session.watch(key)
    return OK


def _unwatch(session: Session, request: Request) -> bytes:
    session.unwatch()
    return OK


COMMANDS = (
    Command(b"multi", _multi, 1, is_queued=False),
    Command(b"exec", _exec, 1, is_queued=False),
    Command(b"discard", _discard, 1, is_queued=False),
    Command(b"watch", _watch, -2, is_queued=False),
    Command(b"unwatch", _unwatch, 1),
)
