"""The cell's journal: opened, executed again at the start, written on, and given up where that does no harm.

Ring 1. With sync `off` the journal only serves to give rebuilt replicas what was decided since the last checkpoint:
nothing waits for it, and a cell whose disk fails goes on without it.
"""

from collections.abc import Callable
from pathlib import Path

from .config import Config
from .restart import learn, replay
from .state.anchor import NO_ANCHOR, Anchor, Base
from .state.journal_file import JournalFile
from .state.link import Keeper
from .suspects import Suspects
from .trusted.errors import OperatorFault
from .trusted.journal_record import JournalFault
from .trusted.shell import Shell

LEFT_OUT = "the operator had it left out"


class Journaling:
    """One cell's journal. `on_failed` is called when it can no longer be written, with the reason.

    `left_out` is a slot that the operator wants nobody to execute again, 0 for none.
    """

    def __init__(self, config: Config, shell: Shell, on_failed: Callable[[str], None], left_out: int = 0) -> None:
        self.file: JournalFile | None = None
        self.fault = ""
        self._sync = config.journal.sync
        self._config = config
        self._shell = shell
        self._core = shell.core
        self._on_failed = on_failed
        self._left_out = left_out
        self._opened: JournalFile | None = None
        self._has_begun = False
        # Whether there was none when it was opened, although records of it were on disk at the last checkpoint.
        self.is_missing = False

    @property
    def synced_slot(self) -> int:
        """Up to which slot all writes are on disk."""
        return self.file.synced_slot if self.file is not None and self._sync != "off" else 0

    @property
    def is_full(self) -> bool:
        """Whether writes are refused, because the disk has no room."""
        return self.file is not None and self._sync != "off" and self.file.is_full

    def anchor(self) -> Anchor:
        """What a checkpoint that is asked for now says of the journal, of one that has failed since too."""
        return self._opened.anchor if self._opened is not None else NO_ANCHOR

    def open(self, directory: Path, base: Base) -> None:
        """Open what is in `directory`, beside a state store whose checkpoint is `base`.

        Raises `JournalFault` when it must not be gone on with.
        """
        cell = self._config.cell
        self.file = self._opened = JournalFile.open(directory, cell.protocol, cell.name, self._sync, base)
        self.is_missing = self.file.recovered.is_new and max(base.anchor.synced, base.anchor.continued) > 0

    async def begin(self, keeper: Keeper, singly_from: int = 0) -> bool:
        """The replicas hold the last checkpoint: execute what came after it, then write on. Whether there was any.

        Slots from `singly_from` on are executed one by one (0: none). Raises `Disagreement` when replicas do not agree
        on them: when they are new ones, this may be tried again.
        """
        file = self.file
        assert file is not None
        slot = keeper.checkpoint.slot
        if not self._has_begun:
            self._has_begun = True
            self._core.begin_at(max(slot, file.recovered.highest_slot))
            self._core.recording.tombstones = file.recovered.tombstones
            self._core.recording.kept(slot)  # segments that hold older ones too are not given back yet
            file.begin(self._synced, self._failed, self._shell.synced)
            if self._left_out:
                await self._leave_out(file, slot, self._left_out)
        replayed = await replay(self._core, self._shell, file, slot, singly_from)
        await learn(self._core, keeper)
        self._core.recording.begin(file.journal)
        self._shell.journal_file = Unsynced(self) if self._sync == "off" else file
        # On a full disk there may be no room at all, and keys that have expired meanwhile.
        self._shell.check_room(self._shell.journal_file)
        # What has expired is looked at from now on, though nobody should ask.
        self._shell.schedule()
        return bool(replayed)

    async def _leave_out(self, file: JournalFile, checkpoint: int, slot: int) -> None:
        """Nobody executes `slot` again, neither now nor at a later start."""
        if not checkpoint < slot <= file.recovered.last_slot:
            raise OperatorFault(
                f"the journal holds no slot {slot} behind its checkpoint, which is of slot {checkpoint}",
                "start the cell without --leave-out",
            )
        self._core.recording.tombstones.bury(slot, slot, LEFT_OUT)
        await file.bury(slot, LEFT_OUT, self._shell.now())

    async def again(self, keeper: Keeper, suspects: Suspects | None = None) -> None:
        """All replicas are new ones, and hold the last checkpoint: execute what was decided after it.

        Raises `Disagreement` as `begin`; it names the part of the `suspects` that the replicas did not survive.
        """
        file = self.require()
        self.write()
        await replay(self._core, self._shell, file, keeper.checkpoint.slot, suspects=suspects)

    @property
    def last_slot(self) -> int:
        """The last slot that was written down, 0 where none was."""
        return self.file.journal.last_slot if self.file is not None else 0

    def require(self) -> JournalFile:
        """The journal's file. Raises `JournalFault` when there is none any more."""
        if self.file is None:
            raise JournalFault(f"there is no journal: {self.fault}", "restart the cell")
        return self.file

    def committed(self, slot: int) -> None:
        """A checkpoint is kept: what lies before it is needed no more."""
        self._core.recording.kept(slot)
        if self.file is not None:
            self.file.truncate(slot)

    def write(self) -> None:
        """Write what was ordered. Raises `JournalFault` when that fails and matters."""
        if self.file is None:
            return
        try:
            self.file.write()
        except JournalFault:
            if self._sync != "off":
                raise

    async def close(self) -> None:
        """A clean end."""
        if self.file is not None:
            await self.file.close()

    def _synced(self, slot: int) -> None:
        self._shell.synced()

    def _failed(self, reason: str) -> None:
        self.fault = reason
        if self._sync == "off":
            self.file = None
            self._core.recording.end()
            # What the shell was given to write to stays: from now on it writes nothing.
        self._on_failed(reason)


class Unsynced:
    """The journal where nobody relies on it: no reply waits for it, and no write is refused for it."""

    is_short = False
    is_full = False
    is_spent = False

    def __init__(self, journaling: Journaling) -> None:
        self._journaling = journaling

    def write(self) -> None:
        """Write what was ordered in this turn."""
        self._journaling.write()

    def may_release(self, slot: int) -> bool:
        """Always."""
        return True
