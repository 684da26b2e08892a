"""`quorate status` and `quorate inject`: what is asked of a running cell over its control socket."""

from rich.console import Group, RenderableType
from rich.text import Text

from ..observe.control import ask
from ..observe.logs import printable
from ..observe.register import find
from ..observe.snapshot import CellSnapshot, ReplicaSnapshot
from ..trusted.errors import OperatorFault
from . import screen


def status(cell: str | None, as_json: bool) -> None:
    """Show a running cell. Raises `OperatorFault` when there is none, or when it does not answer."""
    reply = ask(find(cell).control, {"do": "status"})
    data = reply.get("status")
    if not isinstance(data, dict):
        raise OperatorFault("the cell answered without its status", "do cell and command have the same release?")
    if as_json:
        screen.print_json(data)
        return
    try:
        snapshot = CellSnapshot.from_json(data)
    except (TypeError, AttributeError):
        raise OperatorFault("the cell's status cannot be read", "do cell and command have the same release?") from None
    screen.output().print(render(snapshot))


def inject(cell: str | None, replica: str, fault: str, is_on: bool) -> None:
    """Start or end a fault at one replica's edge. Raises `OperatorFault` when the cell refuses: drills may be off."""
    entry = find(cell)
    ask(entry.control, {"do": "inject", "replica": replica, "fault": fault, "on": is_on})
    done = "is injected into" if is_on else "is taken from"
    screen.output().print(f"{fault} {done} replica {replica} of cell {entry.name}", soft_wrap=True)


def render(snapshot: CellSnapshot) -> RenderableType:
    """The screen of one cell."""
    head = [
        f"cell {snapshot.name}: {snapshot.state}, {snapshot.protocol} on {snapshot.listen}, f = {snapshot.f}",
        f"process {snapshot.pid}, up {_duration(snapshot.uptime_seconds)}, {snapshot.clients} clients",
        f"slot {snapshot.slot}, {snapshot.requests} requests, {snapshot.split} split, {snapshot.unanswered} unanswered",
        f"{_checkpoint(snapshot)}; {_journal(snapshot)}; exposed for {_duration(snapshot.exposure_seconds)} at most",
    ]
    columns = ("replica", "variant", "domain", "role", "slot#", "backlog#", "dissents#", "pid#", "memory#", "CPU#")
    seats = screen.table("Replicas", *columns, "cause")
    for replica in snapshot.replicas:
        screen.add(seats, *_row(replica))
    counts = ("convictions#", "rebuilds#", "last rebuild#", "last without vote#")
    lives = screen.table("Lives", "replica", "age#", *counts, "under way")
    for replica in snapshot.replicas:
        screen.add(lives, *_life(replica))
    notes = [*snapshot.warnings, *_troubles(snapshot)]
    if snapshot.seats_empty:
        notes.append(f"{snapshot.seats_empty} of {len(snapshot.replicas)} seats have no voting replica")
    if snapshot.evidence_dropped:
        notes.append(f"{snapshot.evidence_dropped} records of evidence could not be kept")
    texts = [Text(printable(line)) for line in head]
    return Group(*texts, seats, lives, *(Text(f"warning: {printable(note)}", style="bold yellow") for note in notes))


def _row(replica: ReplicaSnapshot) -> tuple[object, ...]:
    return (
        replica.name,
        replica.variant,
        replica.domain,
        replica.role,
        replica.slot,
        replica.backlog,
        replica.dissents,
        "-" if replica.pid is None else replica.pid,
        screen.size(replica.resident_bytes),
        f"{replica.cpu_seconds:.1f} s",
        printable(replica.cause) or "-",
    )


def _life(replica: ReplicaSnapshot) -> tuple[object, ...]:
    last, without, shadow = replica.last_rebuild_seconds, replica.last_recovery_seconds, replica.shadow
    under_way = [] if shadow is None else [f"{shadow.variant} {screen.stage(shadow.role, shadow.share)}"]
    under_way += [f"restart postponed: {replica.postponed}"] if replica.postponed else []
    under_way += [f"{replica.retiring} retiring"] if replica.retiring else []
    return (
        replica.name,
        "-" if replica.age_seconds is None else _duration(replica.age_seconds),
        replica.convictions,
        replica.rebuilds,
        "-" if last is None else f"{_duration(last)} ago",
        "-" if without is None else f"{without:.2f} s",
        printable(", ".join(under_way)) or "-",
    )


def _checkpoint(snapshot: CellSnapshot) -> str:
    made = snapshot.checkpoint
    if made.age_seconds is None:
        return f"checkpoint at slot {made.slot}, from before the start" if made.slot else "no checkpoint yet"
    return f"checkpoint at slot {made.slot}, {_duration(made.age_seconds)} ago"


def _journal(snapshot: CellSnapshot) -> str:
    journal = snapshot.journal
    if journal.sync == "off":
        return "journal off"
    # It stays behind `slot` while clients only read, which is no lag.
    return f"journal {journal.sync}, on disk up to slot {journal.synced_slot} (only writes count)"


def _troubles(snapshot: CellSnapshot) -> list[str]:
    """What is wrong with what the cell keeps; docs/recovery.md says what to do about each."""
    checkpoint, journal = snapshot.checkpoint, snapshot.journal
    found = [f"no checkpoints, and no rebuilds: {key}" for key in checkpoint.unreadable]
    if checkpoint.unreadable_keys > len(checkpoint.unreadable):
        found.append(f"no checkpoints, and no rebuilds: {checkpoint.unreadable_keys} such keys in all")
    if checkpoint.fault:
        found.append(f"state is kept no more, so that no replica can be rebuilt: {checkpoint.fault}")
    if journal.fault:
        found.append(f"the journal is kept no more, so that all replicas cannot begin anew: {journal.fault}")
    if journal.is_full:
        found.append("the disk has no room for the journal: writes are refused, reads are served")
    return found


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "min"), (rest, "s"))
    shown = [f"{count} {unit}" for count, unit in parts if count]
    return " ".join(shown[:2]) or "0 s"
