"""A Redis-protocol store whose data are Python dicts, one per database.

One request walks: `server` reads bytes, `request` cuts them into commands, `dispatch` finds the command in its table
and queues or runs it, the modules by data type (`strings`, `hashes`, `lists`, `sets`, `sorted_sets` …) change a
`keyspace.Database` and return the reply's bytes, which `server` writes once per read. A request that cannot be done
raises `errors.Refusal`.
"""
