"""The deterministic simulator: the whole cell in a world of one integer clock and one seeded source of chance.

timeline.py     what happens when, and the one source of chance
machine.py      one replica's program: the dictionary store without sockets, on a clock of its own
swarm.py        what a seed chooses: the cell's size and limits, who is faulty and how, who the clients are
replica.py      a replica on its lane, with its faults
workload.py     what clients ask
clients.py      who asks it, and how badly they behave
errands.py      clients who come for what takes several slots: waiting, drawing, scanning
reference.py    what clients must be told, where one answer is the right one
conftest.py     runs of tests, shared among processes
planted.py      faults written into the product, to see that the simulator catches them
golden.py       situations to read, as texts
fates.py        what a seed chooses for a run in which replicas are rebuilt and the cell begins anew
disk.py         the journal's disk, and what a crash leaves of it
loop.py         an event loop of simulated time, on which Ring 1's own code runs
keeper.py       the state store, and the coordinator's end of its keeper
feed.py         how replicas are fed from it
domains.py      where replicas run, and how they boot and end
keeping.py      the product's own keeping of state, with one keeper after the other
rebuilding.py   the product's own rebuilds, and what a cell does around them
anew.py         the product's own revivals, and starting again from store and journal
misfortunes.py  what happens to such a run beside faulty replicas
coordinator.py  the core of such a run, and who sees what it does
recovery.py     one run of that kind, with an account of the state that follows from the order alone
planted_recovery.py  faults written into recovery
lane.py         a replica's lane
shell.py        the real shell's duties, without sockets: the core is the one that runs in production
ledger.py       what was ordered, heard and decided, seen from outside the core
invariants/     one file for each promise
world.py        one run: faults, then quiet, then the last questions
"""
