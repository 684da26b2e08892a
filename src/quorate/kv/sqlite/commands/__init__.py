"""The commands, a module for each kind of value; importing this package fills the registry."""

from . import (
    connection,
    expiry,
    generic,
    hashes,
    lists,
    scripts,
    sets,
    sorted_algebra,
    sorted_ranges,
    sorted_sets,
    strings,
    transactions,
)

__all__ = [
    "connection",
    "expiry",
    "generic",
    "hashes",
    "lists",
    "scripts",
    "sets",
    "sorted_algebra",
    "sorted_ranges",
    "sorted_sets",
    "strings",
    "transactions",
]
