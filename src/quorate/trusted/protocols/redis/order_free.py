"""Replies whose elements come in each replica's own order: compared, and released, sorted by their raw bytes.

Knows the form of aggregates only, not which command was asked.
"""

from .base import Transform
from .values import elements, with_elements


class Unordered(Transform):
    """A reply whose elements, in groups of `stride`, mean the same in any order; what is no aggregate stays as it is.

    A set has stride 1, a map 2: its keys and values follow each other in both protocol versions.
    """

    is_exact = False

    def __init__(self, stride: int) -> None:
        self._stride = stride

    def canonical(self, reply: bytes) -> bytes:
        """The reply with its groups in the order of their raw bytes."""
        parts = elements(reply)
        if len(parts) <= self._stride:
            return reply
        if self._stride == 1:
            parts.sort()
            return with_elements(reply, parts)
        groups = [parts[start : start + self._stride] for start in range(0, len(parts), self._stride)]
        groups.sort()
        return with_elements(reply, [part for group in groups for part in group])
