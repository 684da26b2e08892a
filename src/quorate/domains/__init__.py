"""Domains: the isolated places that replicas run in, behind the small port in `port.py`.

make      the table of kinds: sandbox (sandbox.py), process (process.py); fake.py is for tests
box       one running bubblewrap, its command line (bubblewrap.py), system-call filter (syscalls.py), group (cgroup.py)
child     one process started through the launcher, which gives the host's privilege up and execs away
family    how a process is ended with all that it has started, where no namespace does it
lane      how a connection reaches a service without a proxy
probe     what this machine offers
"""
