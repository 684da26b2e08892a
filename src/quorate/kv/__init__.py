"""Three independent implementations of one small Redis-protocol store: a cell can vote without any Redis installed.

Each is a package of its own that runs as `python -m quorate.kv.<name> --socket PATH` and imports nothing of quorate
or of another store: what they share would be what fails together.
"""
