"""The command line: data on stdout, talk on stderr, exit codes, and words for everything that goes wrong."""

import asyncio
import importlib
import json
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from quorate import cli
from quorate.config import Config
from quorate.observe import register
from quorate.observe.control import ControlServer, Message, Tell
from quorate.observe.evidence import EvidenceStore
from quorate.observe.snapshot import (
    CellSnapshot,
    CheckpointSnapshot,
    JournalSnapshot,
    ReplicaSnapshot,
    ShadowSnapshot,
)
from quorate.trusted.errors import BrokenInvariant, OperatorFault
from quorate.trusted.messages import Cause, Dissented, Undecided

KV = Path(__file__).parents[1] / "examples" / "kv.toml"
HOSTILE = b"\x1b[2J[bold]x[/bold]\n"
PROCESSES = '[cell]\nname = "x"\n' + "".join(
    f'[[variant]]\nname = "{name}"\nprogram = "{{python}}"\nargs = ["{name}", "{{socket}}"]\n'
    f'[[replica]]\nname = "{name}"\ndomain = "process"\nvariants = ["{name}"]\n'
    for name in "abc"
)


class Result:
    """What one command did: exit code, stdout, stderr."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


Command = Callable[..., Result]
STAGES = [("booting", 0.0), ("restoring", 0.0), ("restoring", 0.37), ("restoring", 0.84), ("catching_up", 0.0)]


@pytest.fixture
def quorate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command in this process."""

    def run(*arguments: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["quorate", *arguments])
        for name in ("COLUMNS", "FORCE_COLOR"):
            monkeypatch.delenv(name, raising=False)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        written = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Result(ended.value.code, written.out, written.err)

    return run


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put a module in the place of one that runs a whole cell."""

    def place(name: str, **functions: object) -> None:
        module = ModuleType(name)
        vars(module).update(functions)
        monkeypatch.setitem(sys.modules, name, module)
        package, _, last = name.rpartition(".")
        monkeypatch.setattr(importlib.import_module(package), last, module, raising=False)

    return place


def spawn(*arguments: str) -> Result:
    """Run a command in a process of its own."""
    command = [sys.executable, "-m", "quorate", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return Result(run.returncode, run.stdout, run.stderr)


def all_of(terminal: int) -> bytes:
    """Everything that is shown on a terminal until nobody holds its other end."""
    shown = b""
    try:
        while part := os.read(terminal, 65_536):
            shown += part
    except OSError:
        pass  # how a terminal says that
    os.close(terminal)
    return shown


def rebuilt(name: str, took: float, since: float) -> dict[str, object]:
    """What a cell tells of a replica that votes, whose rebuild took so long and ended so long ago, in seconds."""
    life = {"age_seconds": took + since, "last_rebuild_seconds": since}
    return {"name": name, "variant": "v", "role": "voting", **life}


class FakeCell:
    """A registered cell without replicas: its control socket answers, its evidence is real."""

    def __init__(self, state: Path) -> None:
        self.name = f"test-{secrets.token_hex(4)}"
        self.injected: list[Message] = []
        self.status: object = CellSnapshot(
            self.name,
            "redis",
            "127.0.0.1:1",
            1,
            "serving",
            os.getpid(),
            uptime_seconds=3_700,
            slot=7,
            requests=8,
            seats_empty=1,
            evidence_dropped=3,
            exposure_seconds=600,
            checkpoint=CheckpointSnapshot(6, 4.0),
            journal=JournalSnapshot("always", 7),
            warnings=("drills are on",),
            replicas=(
                ReplicaSnapshot(
                    "a", "v", "sandbox", "voting", slot=7, pid=12, resident_bytes=8 * 2**20, age_seconds=600
                ),
                ReplicaSnapshot(
                    "b",
                    "w",
                    "sandbox",
                    "convicted",
                    slot=3,
                    dissents=4,
                    cause=HOSTILE.decode(),
                    convictions=2,
                    rebuilds=1,
                    last_rebuild_seconds=90,
                    last_recovery_seconds=1.25,
                    shadow=ShadowSnapshot("x", "restoring", 0.25),
                    retiring=1,
                ),
            ),
        ).to_json()
        self.entry = register.own_entry(self.name, state)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._server = ControlServer(
            self.entry.control, {"status": self._answer, "inject": self._inject}, {"recover": self._recover}
        )
        self.asked: list[Message] = []
        self.told: list[Message] = [{"replica": "b", "stage": stage, "share": share} for stage, share in STAGES]
        self.recovered: object = [rebuilt("b", 0.5, 0.0)]

    async def _recover(self, request: Message, tell: Tell) -> Message:
        self.asked.append(request)
        for progress in self.told:
            tell(progress)
        if request["replica"] == "z":
            raise OperatorFault("replica z: it is being rebuilt already", "see quorate status")
        return {"recovered": self.recovered}

    async def _answer(self, request: Message) -> Message:
        return {"status": self.status}

    async def _inject(self, request: Message) -> Message:
        if request["replica"] == "z":
            raise OperatorFault("there is no replica z", "the replicas are: a, b")
        self.injected.append(request)
        return {}

    def _run(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def __enter__(self) -> "FakeCell":
        self._thread.start()
        self._run(self._server.start())
        register.enter(self.entry)
        return self

    def __exit__(self, *_: object) -> None:
        register.leave(self.entry)
        self._run(self._server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def cell(state: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCell]:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("r")))
    with FakeCell(state) as running:
        yield running


def record(state: Path, is_hashed: bool = False) -> None:
    store = EvidenceStore(state, "redis/7.0", is_hashed, 100, 16)
    store.start()
    for slot in (1, 2):
        store.record_dissent(Dissented(slot, 1, HOSTILE, b"+OK\r\n", b"x" * 100, slot == 2, slot * 10**9), "b", "w")
    store.record_conviction("b", "w", Cause.WRONG_WRITE, 1, 2 * 10**9)
    store.close()


def test_json_is_one_object_on_stdout_and_nothing_else(cell: FakeCell, state: Path) -> None:
    record(state)
    for word in ("status", "evidence"):
        result = spawn(word, "--json", "--cell", cell.name)
        assert (result.code, result.err) == (0, "")
        assert isinstance(json.loads(result.out), dict)


def test_doctor_says_what_is_missing_and_what_it_costs(quorate: Command) -> None:
    result = quorate("doctor", "--json")
    findings = {finding["name"]: finding for finding in json.loads(result.out)["findings"]}
    assert result.err == ""
    assert {"Python", "bubblewrap", "user namespaces", "memory", "redis-server", "C compiler"} <= findings.keys()
    assert all(finding["costs"] for finding in findings.values())
    table = quorate("doctor").out
    assert all(name in table for name in findings)


def test_status_shows_every_replica(quorate: Command, cell: FakeCell) -> None:
    result = quorate("status", "--cell", cell.name)
    assert result.code == 0
    for word in (cell.name, "serving", "up 1 h 1 min", "slot 7", "voting", "convicted", "8 MiB", "drills are on"):
        assert word in result.out
    assert "1 of 2 seats have no voting replica" in result.out
    assert "3 records of evidence could not be kept" in result.out
    assert "\x1b" not in result.out
    assert "[bold]x[/bold]" in result.out, "what others wrote is not markup"
    for word in ("checkpoint at slot 6, 4 s ago", "on disk up to slot 7 (only writes count)", "exposed for 10 min"):
        assert word in result.out
    for word in ("x restoring 25%, 1 retiring", "1 min 30 s ago", "1.25 s"):
        assert word in result.out


def test_status_of_a_cell_that_keeps_nothing(quorate: Command, cell: FakeCell) -> None:
    assert isinstance(cell.status, dict)
    cell.status |= {"checkpoint": {"slot": 0}, "journal": {"sync": "off"}}
    assert "no checkpoint yet; journal off; exposed for 10 min" in quorate("status", "--cell", cell.name).out
    cell.status["checkpoint"] = {"slot": 7}
    assert "checkpoint at slot 7, from before the start; journal off" in quorate("status", "--cell", cell.name).out


def test_status_json_is_what_the_cell_said(quorate: Command, cell: FakeCell) -> None:
    result = quorate("status", "--json", "--cell", cell.name)
    assert json.loads(result.out) == cell.status


@pytest.mark.parametrize(
    "status",
    [None, [], {}, {"name": "x"}, {"replicas": 3}, {"checkpoint": 3}, {"replicas": [{"shadow": 3}]}, {"journal": None}],
)
def test_a_status_that_cannot_be_read_is_an_error(quorate: Command, cell: FakeCell, status: object) -> None:
    cell.status = status
    result = quorate("status", "--cell", cell.name)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: the cell")
    assert "hint: " in result.err


def test_no_running_cell_is_an_operator_fault(
    quorate: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(register, "runtime_directories", lambda environ: (tmp_path / "none",))
    for line in ("status", "evidence", "inject a mute", "recover a", "status --json --cell x"):
        result = quorate(*line.split())
        assert (result.code, result.out) == (2, "")
        assert result.err == "error: no cell is running\nhint: start one: quorate run CONFIG\n"


def test_inject_asks_the_cell(quorate: Command, cell: FakeCell) -> None:
    for off in ([], ["--off"]):
        for fault in ("corrupt", "mute", "crash", "slow", "flood", "hog", "collude"):
            assert quorate("inject", "a", fault, "--cell", cell.name, *off).code == 0
    assert [request["on"] for request in cell.injected] == [True] * 7 + [False] * 7
    assert cell.injected[0] == {"do": "inject", "replica": "a", "fault": "corrupt", "on": True}


def test_inject_says_why_the_cell_refused(quorate: Command, cell: FakeCell) -> None:
    result = quorate("inject", "z", "mute", "--cell", cell.name)
    assert (result.code, result.out) == (2, "")
    assert result.err == "error: there is no replica z\nhint: the replicas are: a, b\n"


def test_recover_asks_the_cell_and_tells_every_stage_once(quorate: Command, cell: FakeCell) -> None:
    result = quorate("recover", "b", "--cell", cell.name)
    assert result.code == 0
    assert result.out == "replica b (v) votes again, after 0.50 s\n"
    assert result.err == "replica b: booting\nreplica b: restoring\nreplica b: catching up\n"
    assert cell.asked == [{"do": "recover", "replica": "b", "all": False, "strategy": None}]


def test_recover_all_by_a_strategy(quorate: Command, cell: FakeCell) -> None:
    for strategy in ("restart", "shadow", "shadow-all"):
        assert quorate("recover", "--all", "--strategy", strategy, "--cell", cell.name).code == 0
    expected = {"do": "recover", "replica": None, "all": True}
    assert cell.asked == [expected | {"strategy": strategy} for strategy in ("restart", "shadow", "shadow-all")]


def test_each_replica_is_told_with_its_own_time(quorate: Command, cell: FakeCell) -> None:
    """They were rebuilt one after the other, so that none took as long as the command."""
    cell.recovered = [rebuilt("a", 1.0, 7.0), rebuilt("b", 2.0, 5.0), rebuilt("c", 5.0, 0.0)]
    cell.recovered.append({"name": "d", "variant": "v", "role": "voting"})
    assert quorate("recover", "--all", "--cell", cell.name).out.splitlines() == [
        "replica a (v) votes again, after 1.00 s",
        "replica b (v) votes again, after 2.00 s",
        "replica c (v) votes again, after 5.00 s",
        "replica d (v) votes again",
    ]


def test_recover_json_is_one_object_and_no_progress(quorate: Command, cell: FakeCell) -> None:
    result = quorate("recover", "b", "--json", "--cell", cell.name)
    data = json.loads(result.out)
    assert (data["cell"], data["recovered"]) == (cell.name, cell.recovered)
    assert data["seconds"] >= 0
    assert result.err == ""


def test_recover_says_when_there_is_nothing_to_do(quorate: Command, cell: FakeCell) -> None:
    cell.told, cell.recovered = [], []
    result = quorate("recover", "--cell", cell.name)
    assert result.out == f"every replica of cell {cell.name} votes: name one, or rebuild --all\n"
    assert (result.code, result.err) == (0, "")


def test_recover_says_when_the_replica_was_lost_again(quorate: Command, cell: FakeCell) -> None:
    cell.recovered = [{"name": "b", "variant": HOSTILE.decode(), "role": "convicted"}]
    result = quorate("recover", "b", "--cell", cell.name)
    assert "was rebuilt, and is convicted by now" in result.out
    assert "\x1b" not in result.out


def test_recover_says_why_the_cell_refused(quorate: Command, cell: FakeCell) -> None:
    result = quorate("recover", "z", "--cell", cell.name)
    assert (result.code, result.out) == (2, "")
    assert result.err.endswith("error: replica z: it is being rebuilt already\nhint: see quorate status\n")


@pytest.mark.parametrize("recovered", [None, 3, ["b"]])
def test_what_is_no_recovery_is_an_error(quorate: Command, cell: FakeCell, recovered: object) -> None:
    cell.recovered = recovered
    result = quorate("recover", "b", "--json", "--cell", cell.name)
    assert (result.code, result.out) == (2, "")
    assert "did not say what it rebuilt" in result.err


def test_what_is_no_progress_is_an_error(quorate: Command, cell: FakeCell) -> None:
    cell.told = [{"replica": 3, "stage": "booting"}]
    result = quorate("recover", "b", "--cell", cell.name)
    assert result.code == 2
    assert "the cell told of no progress" in result.err


def test_on_a_terminal_recovery_is_shown_as_it_goes(cell: FakeCell) -> None:
    terminal, inside = os.openpty()
    command = [sys.executable, "-m", "quorate", "recover", "b", "--cell", cell.name]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=inside, env=environment) as process:
        os.close(inside)
        shown = all_of(terminal)
        assert process.stdout is not None
        assert process.stdout.read().startswith(b"replica b (v) votes again, after ")
    assert process.returncode == 0
    assert b"replica b: catching up" in shown


def test_evidence_shows_bytes_without_letting_them_act(quorate: Command, cell: FakeCell, state: Path) -> None:
    record(state)
    result = quorate("evidence", "--cell", cell.name)
    assert "\x1b" not in result.out
    assert "\\x1b[2J[bold]x[" in result.out.replace("\n", "")
    assert Cause.WRONG_WRITE.value in result.out
    data = json.loads(quorate("evidence", "--cell", cell.name, "--json", "--limit", "1").out)
    (dissent,) = data["dissents"]
    assert (dissent["slot"], dissent["is_write"], dissent["dialect"]) == (2, True, "redis/7.0")
    assert dissent["agreed"] == {"bytes": 5, "text": "+OK\\r\\n", "cut": False}
    assert dissent["dissenting"] == {"bytes": 100, "text": "x" * 16, "cut": True}
    assert data["convictions"][0]["cause"] == Cause.WRONG_WRITE.value


def test_hashed_evidence_shows_digests(quorate: Command, cell: FakeCell, state: Path) -> None:
    record(state, is_hashed=True)
    data = json.loads(quorate("evidence", "--cell", cell.name, "--json").out)
    assert data["dissents"][0]["agreed"].keys() == {"bytes", "sha256"}
    assert "sha256" in quorate("evidence", "--cell", cell.name).out


def test_no_evidence_is_said_and_no_more_than_that(quorate: Command, cell: FakeCell) -> None:
    result = quorate("evidence", "--cell", cell.name)
    assert result.out.splitlines() == [
        f"cell {cell.name}: there is no evidence of a dissent, and none of a conviction",
        "slots that were not decided since the cell started: none",
    ]
    told = json.loads(quorate("evidence", "--cell", cell.name, "--json").out)
    assert (told["dissents"], told["convictions"], told["undecided"]) == ([], [], [])
    assert (told["split"], told["unanswered"]) == (0, 0)


def test_evidence_says_what_was_not_decided_and_where_to_read_on(quorate: Command, cell: FakeCell, state: Path) -> None:
    """Nobody is accused where replies split, and not every reply agreed."""
    assert isinstance(cell.status, dict)
    cell.status |= {"split": 2, "unanswered": 1}
    store = EvidenceStore(state, "redis/7.0", False, 100, 64)
    store.start()
    store.record_undecided(Undecided(7, HOSTILE, False, True, 10**9))
    store.close()
    result = quorate("evidence", "--cell", cell.name)
    assert "\x1b" not in result.out
    for words in (
        "there is no evidence of a dissent, and none of a conviction",
        "\\x1b[2J[bold]x",
        "slots that were not decided since the cell started: 2 split, 1 unanswered",
        "see how each variant answers that request",
        "The log says which replicas were lost then",
        "what to do: docs/commands.md, at quorate evidence",
    ):
        assert words in result.out
    told = json.loads(quorate("evidence", "--cell", cell.name, "--json").out)
    (entry,) = told["undecided"]
    assert (entry["slot"], entry["count"], entry["is_split"], entry["is_write"]) == (7, 1, True, False)
    assert (told["split"], told["unanswered"]) == (2, 1)


def test_evidence_of_an_ended_cell_s_undecided_slots_calls_them_what_they_were(quorate: Command, state: Path) -> None:
    """Only what is kept is known of it; slots that were unanswered are not called split."""
    store = EvidenceStore(state, "redis/7.0", False, 100, 64)
    store.start()
    store.record_undecided(Undecided(7, b"x", True, False, 10**9, count=3))
    store.close()
    result = quorate("evidence", "--cell", str(state))
    assert "since the cell started" not in result.out
    assert "see how each variant answers" not in result.out
    assert "unanswered: too few replied" in result.out
    told = json.loads(quorate("evidence", "--cell", str(state), "--json").out)
    assert (told["split"], told["unanswered"], told["undecided"][0]["count"]) == (None, None, 3)


@pytest.mark.parametrize("status", [None, {}, {"split": "many", "unanswered": None}])
def test_evidence_of_a_cell_that_does_not_say_how_much_it_decided(
    quorate: Command, cell: FakeCell, state: Path, status: object
) -> None:
    record(state)
    cell.status = status
    result = quorate("evidence", "--cell", cell.name)
    assert result.code == 0
    assert Cause.WRONG_WRITE.value in result.out
    assert "since the cell started" not in result.out


def test_evidence_of_a_cell_that_does_not_answer_is_shown(quorate: Command, cell: FakeCell, state: Path) -> None:
    record(state)
    cell.entry.control.unlink()
    result = quorate("evidence", "--cell", cell.name)
    assert result.code == 0
    assert Cause.WRONG_WRITE.value in result.out
    assert "warning: how many slots were not decided is not known: the cell cannot be reached" in result.err


def test_evidence_of_a_cell_that_has_ended_is_found_by_name_or_directory(
    quorate: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"ended-{secrets.token_hex(4)}"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    directory = tmp_path / "quorate" / name
    record(directory)
    monkeypatch.chdir(directory.parent)
    for cell in (name, str(directory), f"./{name}"):
        found = json.loads(quorate("evidence", "--cell", cell, "--json").out)
        assert (found["cell"], len(found["dissents"])) == (name, 2)


def test_unreadable_evidence_is_an_error(quorate: Command, cell: FakeCell, state: Path) -> None:
    state.mkdir()
    (state / "evidence.sqlite3").write_bytes(b"no database at all" * 100)
    result = quorate("evidence", "--cell", cell.name, "--json")
    assert (result.code, result.out) == (2, "")


def test_check_shows_what_would_run(quorate: Command) -> None:
    result = quorate("check", str(KV))
    assert result.code == 0
    for word in (
        "kv",
        "127.0.0.1:7380",
        "dictionary",
        "sqlite",
        "log",
        "sandbox",
        "512 MiB",
        "recovery none, reactive",
    ):
        assert word in result.out
    assert result.err == "warning: drills are on: this machine's user can inject faults into replicas\n"


def test_check_says_what_not_every_variant_knows(quorate: Command, tmp_path: Path) -> None:
    alike = quorate("check", str(KV)).out
    assert "refused, since not every variant knows it (48): BITCOUNT, " in alike
    assert "a mixed cell" not in alike
    path = tmp_path / "x.toml"
    path.write_text(PROCESSES)
    assert "refused" not in quorate("check", str(path)).out
    path.write_text(PROCESSES.replace('["a", "{socket}"]', '["-m", "quorate.kv.log", "{socket}"]'))
    mixed = quorate("check", str(path))
    assert "a mixed cell: b, c would serve more than a\n" in mixed.out
    assert "(48): BITCOUNT, " in mixed.out
    assert "ZUNIONSTORE and ZINTERSTORE with a weight below 1" in mixed.out
    assert "warning: b: without --proto-max-bulk-len 33554432" in mixed.err


def test_check_as_json(quorate: Command) -> None:
    told = json.loads(quorate("check", "--json", str(KV)).out)
    assert (told["cell"], told["listen"], told["f"], told["mixed"]) == ("kv", "127.0.0.1:7380", 1, False)
    assert told["families"] == dict.fromkeys(("dictionary", "sqlite", "log"), "small store")
    assert {"XADD", "XGROUP CREATE", "SORT"} < set(told["refused"])
    assert told["refused_partly"] == []
    assert told["replicas"][0] == {"name": "a", "domain": "sandbox", "variants": ["dictionary"], "strategy": "none"}
    assert told["warnings"] == ["drills are on: this machine's user can inject faults into replicas"]


def test_check_of_scripts_that_not_every_variant_runs(quorate: Command, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(KV.read_text().replace("f = 1\n", f'f = 1\nscripts = ["{"0" * 40}"]\n'))
    result = quorate("check", str(path))
    assert (result.code, result.out) == (2, "")
    assert "error: dictionary, sqlite, log: a small store runs no scripts of clients" in result.err


def test_check_shows_how_often_replicas_are_rebuilt(quorate: Command, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    period = '[recovery]\nstrategy = "shadow-all"\nevery = "600s"\nreactive = false\n[journal]\nsync = "always"\n'
    path.write_text(PROCESSES.replace("[[variant]]", period + "[[variant]]", 1))
    result = quorate("check", str(path))
    for word in ("recovery shadow-all, not reactive, journal always", "10m"):
        assert word in result.out


def test_check_shows_the_strategy_of_each_replica(quorate: Command, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    text = PROCESSES.replace('name = "b"\ndomain', 'name = "b"\nstrategy = "none"\ndomain')
    path.write_text(text.replace("[[variant]]", '[recovery]\nstrategy = "shadow"\n[[variant]]', 1))
    rows = [line.split("│") for line in quorate("check", str(path)).out.splitlines() if " process " in line]
    assert [[row[place].strip() for place in (1, 5, 6)] for row in rows] == [
        ["a", "shadow", "1h"],
        ["b", "none", "-"],
        ["c", "shadow", "1h"],
    ]
    told = json.loads(quorate("check", "--json", str(path)).out)
    assert [replica["strategy"] for replica in told["replicas"]] == ["shadow", "none", "shadow"]


def test_check_warns_of_process_domains(quorate: Command, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(PROCESSES)
    assert "warning: a, b, c: domain process is no isolation" in quorate("check", str(path)).err


@pytest.mark.parametrize("command", ["check", "run"])
def test_all_problems_are_printed_at_once(quorate: Command, tmp_path: Path, command: str) -> None:
    path = tmp_path / "x.toml"
    path.write_text(PROCESSES.replace('name = "x"', 'nam = "x"').replace("process", "proces"))
    result = quorate(command, str(path))
    assert (result.code, result.out) == (2, "")
    lines = result.err.splitlines()
    assert len(lines) == 10
    assert lines[2:4] == [f"error: {path}: cell.nam: unknown key", "hint: did you mean name?"]
    assert all(line.startswith("error: " if place % 2 == 0 else "hint: ") for place, line in enumerate(lines))


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "check",
        "check absent.toml",
        "inject a nonsense",
        "recover a --all",
        "recover a --strategy none",
        "evidence --limit 0",
        "demo --requests many",
        "status --nonsense",
        "bench",
    ],
)
def test_wrong_arguments_are_said_on_stderr(quorate: Command, line: str) -> None:
    result = quorate(*line.split())
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: ")
    assert "hint: " in result.err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("recover a --strategy none", "for '--strategy': 'none' is not one of 'restart', 'shadow', 'shadow-all'."),
        ("inject a nonsense", "for 'FAULT': 'nonsense' is not one of 'corrupt', 'mute', "),
        ("evidence --limit 0", "for '--limit': must be at least 1, not 0"),
        ("demo --requests 9999999", "for '--requests': must be at most 1000000, not 9999999"),
        ("demo --requests many", "for '--requests': must be an integer, not 'many'"),
    ],
)
def test_wrong_values_are_said_in_our_words(quorate: Command, line: str, said: str) -> None:
    assert quorate(*line.split()).err.startswith(f"error: Invalid value {said}")


def test_without_a_command_the_help_is_shown(quorate: Command) -> None:
    result = quorate()
    assert (result.code, result.out) == (2, "")
    assert "evidence" in result.err
    assert quorate("--help").code == 0
    assert quorate("--version").out.startswith("quorate ")


def test_run_reports_stages_in_the_log_and_readiness_on_stdout(
    quorate: Command, fake: Callable[..., None], tmp_path: Path
) -> None:
    path = tmp_path / "x.toml"
    path.write_text(PROCESSES)

    def run(config: Config, on_progress: Callable[[str, str], None], left_out: int) -> int:
        on_progress("a", "booting")
        on_progress("", "draining")
        on_progress("", "serving redis on 127.0.0.1:7379 with a (a), b (empty), c (c)")
        return 0

    fake("quorate.observe.service", run=run)
    result = quorate("run", str(path))
    assert result.code == 0
    assert result.out == "cell x is serving redis on 127.0.0.1:7379 with a (a), b (empty), c (c)\n"
    assert "replica=a" in result.err
    assert "stage=booting" in result.err
    assert "domain process is no isolation" in result.err


@pytest.mark.parametrize(
    ("error", "code"), [(OperatorFault("port in use", "choose another"), 2), (BrokenInvariant("slot 3 twice"), 1)]
)
def test_errors_of_a_running_cell_are_said(
    quorate: Command, fake: Callable[..., None], error: Exception, code: int
) -> None:
    def run(config: Config, on_progress: Callable[[str, str], None], left_out: int) -> int:
        raise error

    fake("quorate.observe.service", run=run)
    result = quorate("run", str(KV))
    assert (result.code, result.out) == (code, "")
    assert str(error) in result.err


def test_an_interrupt_is_no_traceback(quorate: Command, fake: Callable[..., None]) -> None:
    def run(config: Config, on_progress: Callable[[str, str], None], left_out: int) -> int:
        raise KeyboardInterrupt

    fake("quorate.observe.service", run=run)
    result = quorate("run", str(KV))
    assert result.code == 130
    assert "Traceback" not in result.err


ON_A_TERMINAL = """
import sys, types, structlog
module = sys.modules["quorate.observe.service"] = types.ModuleType("quorate.observe.service")
def run(config, on_progress, left_out):
    import threading
    for replica in config.replicas:
        on_progress(replica.name, "booting")
        structlog.get_logger().info("a line in between")
    assert threading.active_count() == 1, "a thread would be forked along"
    on_progress("", "serving redis on 127.0.0.1:1234")
    return 0
module.run = run
from quorate.cli import main
main()
"""


def test_on_a_terminal_progress_is_shown_while_replicas_boot() -> None:
    terminal, inside = os.openpty()
    command = [sys.executable, "-c", ON_A_TERMINAL, "run", str(KV)]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=inside, env=environment) as process:
        os.close(inside)
        shown = all_of(terminal)
        assert process.stdout is not None
        assert process.stdout.read() == (b"cell kv is serving redis on 127.0.0.1:1234\n")
    assert process.returncode == 0
    assert b"replica a (dictionary, sandbox)" in shown
    assert b"booting" in shown
    assert b"a line in between" in shown


DEMO = {"requests": 500, "wrong_replies": 0, "failed_requests": 0, "dissents": 3, "convictions": 1}


def test_demo_shows_its_summary(quorate: Command, fake: Callable[..., None]) -> None:
    asked = []

    def run(requests: int, progress: Callable[[str], None]) -> dict[str, int]:
        asked.append(requests)
        progress("replica b now lies")
        return DEMO

    fake("quorate.experiments.demo", run=run)
    result = quorate("demo", "--requests", "500")
    assert (result.code, asked) == (0, [500])
    assert "Every reply was right." in result.out
    assert result.err == "replica b now lies\n"
    assert json.loads(quorate("demo", "--json").out) == DEMO
    assert asked[1] >= 500


@pytest.mark.parametrize("key", ["wrong_replies", "failed_requests"])
def test_a_demo_that_fails_says_so(quorate: Command, fake: Callable[..., None], key: str) -> None:
    fake("quorate.experiments.demo", run=lambda requests, progress: {**DEMO, key: 1})
    result = quorate("demo")
    assert result.code == 1
    assert "The cell failed" in result.out
    assert quorate("demo", "--json").code == 1


def test_benchmarks_are_rendered_or_printed(quorate: Command, fake: Callable[..., None]) -> None:
    asked = []

    def run(is_quick: bool, rounds: int | None) -> dict[str, Any]:
        asked.append((is_quick, rounds))
        return {"c50": 1}

    fake("quorate.experiments.versus", run=run, render=lambda result: f"ratio {result['c50']}")
    fake("quorate.experiments.core", run=lambda: {"get": 2.5}, render=lambda result: f"get {result['get']} µs")
    assert quorate("bench", "versus", "--quick", "--rounds", "3").out == "ratio 1\n"
    assert json.loads(quorate("bench", "versus", "--json").out) == {"c50": 1}
    assert asked == [(True, 3), (False, None)]
    assert quorate("bench", "core").out == "get 2.5 µs\n"
    assert json.loads(quorate("bench", "core", "--json").out) == {"get": 2.5}


def test_the_papers_experiment_is_rendered_or_printed(
    quorate: Command, fake: Callable[..., None], tmp_path: Path
) -> None:
    asked = []

    def run(is_quick: bool, scale: int | None, out: Path | None) -> dict[str, Any]:
        asked.append((is_quick, scale, out))
        return {"A": 1}

    fake("quorate.experiments.vmfit", run=run, render=lambda result: f"A reached {result['A']}")
    assert quorate("bench", "vmfit", "--quick", "--out", str(tmp_path)).out == "A reached 1\n"
    assert json.loads(quorate("bench", "vmfit", "--json", "--scale", "30").out) == {"A": 1}
    assert asked == [(True, None, tmp_path), (False, 30, None)]


def test_a_reader_that_goes_away_is_no_traceback(cell: FakeCell, state: Path) -> None:
    record(state)
    command = [sys.executable, "-m", "quorate", "evidence", "--json", "--cell", cell.name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1
