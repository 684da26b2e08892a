"""The deterministic simulator: the whole cell in a world of one integer clock and one seeded source of chance.

timeline.py     what happens when, and the one source of chance
machine.py      one replica's program: the dictionary store without sockets, on a clock of its own
swarm.py        what a seed chooses: the cell's size and limits, who is faulty and how, who the clients are
replica.py      a replica on its lane, with its faults
workload.py     what clients ask
clients.py      who asks it, and how badly they behave
shell.py        the real shell's duties, without sockets: the core is the one that runs in production
ledger.py       what was ordered, heard and decided, seen from outside the core
invariants/     one file for each promise
world.py        one run: faults, then quiet, then the last questions
"""
