"""The tables that hold all data, and the connection to them. Knows SQL and nothing of Redis's commands.

Every key owns one row of `keys` and, by its `id`, rows in the one table of its kind. `size` counts those rows, so that
no reply needs a scan. A list's positions are dense, from `head` to `head + size - 1`: an index is one lookup.
"""

import sqlite3

STRING, LIST, SET, SORTED_SET, HASH = range(5)
KIND_NAMES = (b"string", b"list", b"set", b"zset", b"hash")
CONTENT_TABLES = ("strings", "items", "members", "scores", "fields")

TABLES = """
CREATE TABLE keys (
    db INTEGER NOT NULL, name BLOB NOT NULL, id INTEGER NOT NULL, kind INTEGER NOT NULL,
    size INTEGER NOT NULL, head INTEGER NOT NULL, deadline INTEGER,
    PRIMARY KEY (db, name)
) WITHOUT ROWID;
CREATE INDEX keys_by_deadline ON keys (deadline) WHERE deadline IS NOT NULL;

CREATE TABLE strings (key INTEGER PRIMARY KEY, value BLOB NOT NULL);

CREATE TABLE items (
    key INTEGER NOT NULL, position INTEGER NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (key, position)
) WITHOUT ROWID;

CREATE TABLE members (
    key INTEGER NOT NULL, member BLOB NOT NULL,
    PRIMARY KEY (key, member)
) WITHOUT ROWID;

CREATE TABLE scores (
    key INTEGER NOT NULL, member BLOB NOT NULL, score REAL NOT NULL,
    PRIMARY KEY (key, member)
) WITHOUT ROWID;
CREATE INDEX scores_in_order ON scores (key, score, member);

CREATE TABLE fields (
    key INTEGER NOT NULL, field BLOB NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (key, field)
) WITHOUT ROWID;
"""

STATEMENTS_CACHED = 512


def open_database() -> sqlite3.Connection:
    """An empty database in memory; transactions begin and end only where the caller says so."""
    connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=STATEMENTS_CACHED)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.executescript(TABLES)
    return connection
