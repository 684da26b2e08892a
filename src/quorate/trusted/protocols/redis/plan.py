"""What plans share: slots of more than one request, and requests that turn out to need no plan.

Knows no command.
"""

from ...span import Span
from .base import Call, Transform, check_known
from .framing import encode_request
from .session import Session


def together(session: Session, requests: list[list[bytes]], is_write: bool, transform: Transform) -> Span:
    """One slot of a plan that holds several requests: nothing comes between them. Their replies come in one piece."""
    span = Span(None, [b"".join(map(encode_request, requests))], session.mode, is_write, transform)
    span.frames = len(requests)
    return span


def plain(call: Call, raw: bytes) -> Span:
    """`raw` as an ordinary slot of the client's own, which need not wait. Raises `Refusal` where it may not go."""
    check_known(call, raw)
    owner = None if call.session.is_silent else call.session.client
    return Span(owner, [raw], call.session.mode, call.command.is_write)
