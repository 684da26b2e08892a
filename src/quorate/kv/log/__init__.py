"""A store that never overwrites: every value is a record appended to a log in memory, found again through an index.

server    connections, the event loop
framing   bytes → requests
session   what one connection has chosen, and the one way a command is run
commands  what each command does, one module for each kind of value
keyspace  the index: key → value, deadlines, watches
values, sequence, ranking   the index of one value: which records make it up
records   the log: immutable bytes in segments, released and compacted
"""
