"""Errors, split by who is at fault.

    QuorateError
    ├── OperatorFault   the configuration or the machine asks for something impossible; carries a hint
    ├── ClientFault     a client's bytes are malformed, ambiguous or over a limit; carries the answer to give
    └── BrokenInvariant our own bug: the process must stop

A misbehaving replica is data to weigh, never an exception that travels.
"""


class QuorateError(Exception):
    """The root of every error that this package raises on purpose."""


class OperatorFault(QuorateError):
    """The operator asked for something impossible.

    `hint` is one sentence that says what to do about it, or empty.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ClientFault(QuorateError):
    """A client's request cannot be served.

    `answer` holds the protocol's own error, as bytes ready to send.
    `fatal` says that nothing after these bytes can be understood, so the connection ends.
    """

    def __init__(self, answer: bytes, fatal: bool = False) -> None:
        super().__init__(answer.decode("ascii", "replace").strip())
        self.answer = answer
        self.fatal = fatal


class BrokenInvariant(QuorateError):
    """Our own bug. A trusted process that no longer knows its own state must not answer anybody."""


def invariant(condition: bool, why: str) -> None:
    """Stop on our own error: raise `BrokenInvariant(why)` unless `condition` holds."""
    if not condition:
        raise BrokenInvariant(why)
