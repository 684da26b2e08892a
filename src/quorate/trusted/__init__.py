"""The trusted computing base: everything that decides what a client is told.

Nothing here but `shell.py` knows a clock, chance, a socket, a disk, the environment or a log.
Bytes and facts come in as arguments, effects go out as return values and outboxes.
"""
