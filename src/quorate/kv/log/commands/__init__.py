"""What each command does: one module for each kind of value, and the table of them all.

A handler takes the session and the request's words, the name included, and returns the encoded reply. It raises Refusal
before it has changed anything.
"""

from . import (
    connection,
    counters,
    expiry,
    hashes,
    keys,
    list_moves,
    lists,
    ranking_algebra,
    ranking_ranges,
    rankings,
    scripts,
    sets,
    strings,
    transactions,
)

TABLE = {
    command.name: command
    for module in (
        connection,
        counters,
        expiry,
        hashes,
        keys,
        list_moves,
        lists,
        ranking_algebra,
        ranking_ranges,
        rankings,
        scripts,
        sets,
        strings,
        transactions,
    )
    for command in module.COMMANDS
}
