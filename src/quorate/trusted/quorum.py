"""Quorum arithmetic: a cell of n = 2f+1 seats decides with f+1 equal replies (Diverse, section 3, LBFT2)."""

from .errors import invariant


def seats_for(f: int) -> int:
    """The number of seats of a cell that tolerates `f` faulty replicas at once."""
    invariant(f >= 1, "f is at least 1")
    return 2 * f + 1


def votes_needed(f: int) -> int:
    """The number of equal replies that decide a slot: one more than all faulty replicas together can give."""
    invariant(f >= 1, "f is at least 1")
    return f + 1


def may_lose_a_voter(voters: int, f: int) -> bool:
    """Whether one of `voters` voting replicas may lose its vote and still leave enough of them to decide."""
    return voters - 1 >= votes_needed(f)


def is_split(largest: int, outstanding: int, f: int) -> bool:
    """Whether a slot can no longer be decided.

    `largest` is the size of its largest group of equal replies, `outstanding` the number of voters still to reply.
    """
    return largest + outstanding < votes_needed(f)
