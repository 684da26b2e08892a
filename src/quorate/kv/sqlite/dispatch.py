"""One request of one session: look the command up, refuse it, queue it or execute it. Knows no socket and no SQL."""

from . import commands, reply
from .errors import CommandError, arity_error
from .registry import COMMANDS, CONTAINERS, Command
from .session import Session

SHOWN_BYTES_MAX = 128
# Redis takes these first words for a browser's request and hangs up without an answer.
BROWSER_WORDS = (b"host:", b"post")
# All that one transaction may queue before its client is hung up on.
TRANSACTION_BYTES_MAX = 256 * 1024 * 1024
ARGUMENT_OVERHEAD_BYTES = 64

__all__ = ["commands", "execute"]


def execute(session: Session, request: list[bytes]) -> None:
    """Serve one request; its reply, if any, goes to the session's output."""
    word = request[0].lower()
    if word == b"quit":
        session.emit(reply.OK)
        session.closing = True
    elif word in BROWSER_WORDS:
        session.closing = True
    else:
        _serve(session, word, request)
    # The reply after CLIENT REPLY SKIP is the one to be left out, not that of CLIENT REPLY SKIP itself.
    session.skip, session.skip_next = session.skip_next, False


def _serve(session: Session, word: bytes, request: list[bytes]) -> None:
    try:
        entry = _lookup(word, request)
    except CommandError as refusal:
        _reject(session, word, refusal)
        return
    try:
        if session.queue is not None and entry.queued:
            _enqueue(session, session.queue, request)
            answer = reply.QUEUED
        else:
            answer = entry.execute(session, request)
    except CommandError as refusal:
        answer = reply.error(refusal.text)
    if answer:
        session.emit(answer)


def _lookup(word: bytes, request: list[bytes]) -> Command:
    """The command's entry; raises `CommandError` when there is none or it does not take that many arguments."""
    entry = COMMANDS.get(word)
    if entry is None or (len(request) > 1 and word in CONTAINERS):
        entry = _subcommand(word, request)
    if not entry.accepts(len(request)):
        raise arity_error(entry.name)
    return entry


def _subcommand(word: bytes, request: list[bytes]) -> Command:
    if word not in CONTAINERS:
        raise CommandError(_unknown(request))
    if len(request) == 1:
        raise arity_error(word)
    entry = CONTAINERS[word].get(request[1].lower())
    if entry is None:
        text = b"ERR unknown subcommand '%s'. Try %s HELP."
        raise CommandError(text % (_shown(request[1], SHOWN_BYTES_MAX), _shown(word.upper(), len(word))))
    return entry


def _unknown(request: list[bytes]) -> bytes:
    arguments = b""
    for argument in request[1:]:
        if len(arguments) >= SHOWN_BYTES_MAX:
            break
        arguments += b"'%s' " % _shown(argument, SHOWN_BYTES_MAX - len(arguments))
    name = _shown(request[0], SHOWN_BYTES_MAX)
    return b"ERR unknown command '%s', with args beginning with: %s" % (name, arguments)


def _shown(text: bytes, length: int) -> bytes:
    """What C's `%.*s` shows of `text`: it ends at a zero byte."""
    return text[:length].split(b"\0", 1)[0]


def _reject(session: Session, word: bytes, refusal: CommandError) -> None:
    """Answer a refusal from before execution; it dooms an open transaction, and ends it if it is EXEC."""
    text = refusal.text
    if session.queue is not None:
        session.refused = True
    if word == b"exec":
        session.leave()
        text = b"EXECABORT Transaction discarded because of: " + text.removeprefix(b"ERR ")
    session.emit(reply.error(text))


def _enqueue(session: Session, queue: list[list[bytes]], request: list[bytes]) -> None:
    queue.append(request)
    session.queue_bytes += sum(map(len, request)) + ARGUMENT_OVERHEAD_BYTES * len(request)
    if session.queue_bytes > TRANSACTION_BYTES_MAX:
        session.leave()
        session.closing = True
