"""The table of all commands, and what happens to a request before and after its command runs. Knows no socket."""

from . import (
    connection,
    expiry,
    generic,
    hashes,
    lists,
    reply,
    scripts,
    sets,
    sorted_algebra,
    sorted_ranges,
    sorted_sets,
    strings,
    transactions,
)
from .errors import Refusal, formatted, quoted, wrong_arity
from .session import QUEUED_BYTES_MAX, Arguments, Command, Session

QUOTED_BYTES_MAX = 128

TABLE: dict[bytes, Command] = {
    **connection.COMMANDS,
    **generic.COMMANDS,
    **expiry.COMMANDS,
    **strings.COMMANDS,
    **hashes.COMMANDS,
    **lists.COMMANDS,
    **sets.COMMANDS,
    **sorted_sets.COMMANDS,
    **sorted_ranges.COMMANDS,
    **sorted_algebra.COMMANDS,
    **transactions.COMMANDS,
    **scripts.COMMANDS,
}


def answer(session: Session, arguments: Arguments) -> bytes:
    """Run or queue one request; returns its reply, which is empty where the connection wants none."""
    was_mute = session.is_mute
    try:
        text = _accepted(session, arguments)
    except Refusal as refusal:
        text = reply.error(refusal.taken())
    # Muted before and after: CLIENT REPLY ON answers for itself, and EXEC leaves out what its own commands muted.
    is_unwanted = was_mute and session.is_mute
    session.skips_this, session.skips_next = session.skips_next, False
    return b"" if is_unwanted else text


def _accepted(session: Session, arguments: Arguments) -> bytes:
    try:
        command = TABLE.get(arguments[0]) or _found(arguments)
        if command.subcommands and len(arguments) > 1:
            command = _subcommand(command, arguments)
        elif not command.takes(len(arguments)):
            raise wrong_arity(arguments[0].lower())
    except Refusal as refusal:
        session.is_doomed = session.queue is not None
        if arguments[0].upper() == b"EXEC":
            session.leave_transaction()
            raise transactions.aborted(refusal) from None
        raise
    if session.queue is None or command.is_immediate:
        return command.handler(session, arguments)
    return _queued(session, command, arguments)


def _found(arguments: Arguments) -> Command:
    command = TABLE.get(arguments[0].upper())
    if command is None:
        raise _unknown(arguments)
    return command


def _subcommand(command: Command, arguments: Arguments) -> Command:
    name, word = arguments[0], arguments[1]
    found = command.subcommands.get(word.upper())
    if found is None:
        shown = quoted(word, QUOTED_BYTES_MAX)
        raise formatted(b"unknown subcommand '%b'. Try %b HELP." % (shown, quoted(name).upper()))
    if not found.takes(len(arguments)):
        raise wrong_arity(b"%b|%b" % (name.lower(), word.lower()))
    return found


def _queued(session: Session, command: Command, arguments: Arguments) -> bytes:
    queue = session.queue
    assert queue is not None
    session.queued_bytes += sum(map(len, arguments))
    if session.queued_bytes > QUEUED_BYTES_MAX:
        session.is_doomed = True
        queue.clear()
        raise Refusal(b"ERR transaction too large")
    queue.append((command, arguments))
    return reply.QUEUED


def _unknown(arguments: Arguments) -> Refusal:
    shown = b""
    for word in arguments[1:]:
        if len(shown) >= QUOTED_BYTES_MAX:
            break
        shown += b"'%b' " % quoted(word, QUOTED_BYTES_MAX - len(shown))
    name = quoted(arguments[0], QUOTED_BYTES_MAX)
    return formatted(b"unknown command '%b', with args beginning with: %b" % (name, shown))
