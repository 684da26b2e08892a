"""Who serves a call, by the name of its command: what each part of the dialect brings, in one place."""

from typing import Final

from . import (
    answers,
    blocking,
    cursors,
    expiry,
    lexical_ranges,
    pubsub,
    sampling,
    scores,
    scripting,
    sorting,
    streams,
    transactions,
)
from .base import Compiler, Planner, Responder

COMPILERS: Final[dict[str, Compiler]] = {
    **blocking.COMPILERS,
    **expiry.COMPILERS,
    **lexical_ranges.COMPILERS,
    **pubsub.COMPILERS,
    **sampling.COMPILERS,
    **scores.COMPILERS,
    **scripting.COMPILERS,
    **sorting.COMPILERS,
    **streams.COMPILERS,
}
PLANNERS: Final[dict[str, Planner]] = {
    **blocking.PLANNERS,
    **cursors.PLANNERS,
    **sampling.PLANNERS,
    **streams.PLANNERS,
}
RESPONDERS: Final[dict[str, Responder]] = {
    **answers.RESPONDERS,
    **pubsub.RESPONDERS,
    **scripting.RESPONDERS,
    **transactions.RESPONDERS,
}
