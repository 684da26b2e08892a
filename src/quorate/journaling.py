"""The cell's journal: opened, executed again at the start, written on, and given up where that does no harm.

Ring 1. With sync `off` the journal only serves to give rebuilt replicas what was decided since the last checkpoint:
nothing waits for it, and a cell whose disk fails goes on without it.
"""

from collections.abc import Callable
from pathlib import Path

from .config import Config
from .restart import learn, replay
from .state.journal_file import JournalFile
from .state.link import Keeper
from .trusted.journal import JournalFault
from .trusted.shell import Shell


class Journaling:
    """One cell's journal. `on_failed` is called when it can no longer be written, with the reason."""

    def __init__(self, config: Config, shell: Shell, on_failed: Callable[[str], None]) -> None:
        self.file: JournalFile | None = None
        self.fault = ""
        self._sync = config.journal.sync
        self._config = config
        self._shell = shell
        self._core = shell.core
        self._on_failed = on_failed

    @property
    def synced_slot(self) -> int:
        """Up to which slot all writes are on disk."""
        return self.file.synced_slot if self.file is not None and self._sync != "off" else 0

    def open(self, directory: Path) -> None:
        """Open what is in `directory`. Raises `JournalFault` when it must not be gone on with."""
        cell = self._config.cell
        self.file = JournalFile.open(directory, cell.protocol, cell.name, self._sync)

    async def begin(self, keeper: Keeper) -> bool:
        """The replicas hold the last checkpoint: execute what came after it, then write on. Whether there was any."""
        file = self.file
        assert file is not None
        slot = keeper.checkpoint.slot
        self._core.begin_at(max(slot, file.recovered.last_slot))
        self._core.recording.tombstones = dict(file.recovered.tombstones)
        replayed = await replay(self._core, self._shell, file, slot)
        await learn(self._core, keeper)
        file.begin(self._synced, self._failed, self._shell.synced)
        self._core.recording.begin(file.journal)
        self._shell.journal_file = Unsynced(self) if self._sync == "off" else file
        return bool(replayed)

    async def again(self, keeper: Keeper) -> None:
        """All replicas are new ones, and hold the last checkpoint: execute what was decided after it."""
        if self.file is None:
            raise JournalFault(f"there is no journal: {self.fault}", "restart the cell")
        self.write()
        await replay(self._core, self._shell, self.file, keeper.checkpoint.slot)

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

    def __init__(self, journaling: Journaling) -> None:
        self._journaling = journaling

    def write(self) -> None:
        """Write what was ordered in this turn."""
        self._journaling.write()

    def may_release(self, slot: int) -> bool:
        """Always."""
        return True
