"""The command line: reads arguments, calls one command, turns errors into words and exit codes.

Exit codes: 0 done, 1 the work itself failed, 2 the operator asked for something impossible, 130 interrupted.
Knows no cell: what each command does is in `commands/`.
"""

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from typer.exceptions import Abort, Exit, TyperException

from . import __version__
from .commands import bench, check, demo, doctor, evidence, recover, run, screen, status
from .config import ConfigFault
from .config_values import explain_value
from .trusted.errors import OperatorFault, QuorateError

FAILED = 1
IMPOSSIBLE = 2
INTERRUPTED = 130


class Fault(StrEnum):
    """What a drill can make a replica do."""

    CORRUPT = "corrupt"
    MUTE = "mute"
    CRASH = "crash"
    SLOW = "slow"
    FLOOD = "flood"
    HOG = "hog"
    COLLUDE = "collude"


class Strategy(StrEnum):
    """How replicas may be rebuilt."""

    RESTART = "restart"
    SHADOW = "shadow"
    SHADOW_ALL = "shadow-all"


app = typer.Typer(
    help="One network service, run as several different replicas that vote on every answer.",
    add_completion=False,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
bench_app = typer.Typer(help="Measure the cell.", rich_markup_mode=None)
app.add_typer(bench_app, name="bench")

ConfigPath = Annotated[Path, typer.Argument(metavar="CONFIG", help="A configuration file, such as examples/kv.toml.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, and nothing else.")]
CellName = Annotated[
    str | None,
    typer.Option("--cell", metavar="NAME", help="Which cell, where several run: its name, process or state directory."),
]


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"quorate {__version__}")
        raise Exit


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the release and end.")
    ] = False,
) -> None:
    del version
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise Exit(IMPOSSIBLE)


@app.command("run")
def _run(
    config: ConfigPath,
    left_out: Annotated[
        int,
        typer.Option("--leave-out", min=0, metavar="SLOT", help="Never again execute this slot of the journal."),
    ] = 0,
) -> None:
    """Run a cell until SIGTERM or SIGINT, which drain it."""
    raise Exit(run.run(config, left_out))


@app.command("demo")
def _demo(
    as_json: AsJson = False,
    requests: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many requests the clients send.")] = 1_000,
) -> None:
    """Show a wrong replica being outvoted; ends by itself."""
    raise Exit(demo.demo(requests, as_json))


@app.command("check")
def _check(config: ConfigPath, as_json: AsJson = False) -> None:
    """Say what a configuration would run and refuse, or everything that is wrong with it."""
    check.check(config, as_json)


@app.command("doctor")
def _doctor(as_json: AsJson = False) -> None:
    """Say what this machine has of what quorate uses, and what each missing piece costs."""
    doctor.doctor(as_json)


@app.command("status")
def _status(as_json: AsJson = False, cell: CellName = None) -> None:
    """Show a running cell and its replicas."""
    status.status(cell, as_json)


@app.command("evidence")
def _evidence(
    as_json: AsJson = False,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many records to show, the newest.")] = 50,
    cell: CellName = None,
) -> None:
    """Show the replies that were outvoted, who was convicted, and what was not decided."""
    evidence.evidence(cell, limit, as_json)


@app.command("inject")
def _inject(
    replica: Annotated[str, typer.Argument(metavar="REPLICA", help="The replica's name.")],
    fault: Annotated[Fault, typer.Argument(metavar="FAULT", help=" | ".join(fault.value for fault in Fault))],
    off: Annotated[bool, typer.Option("--off", help="End the fault instead.")] = False,
    cell: CellName = None,
) -> None:
    """Make one replica misbehave, where the configuration allows drills."""
    status.inject(cell, replica, fault.value, not off)


@app.command("recover")
def _recover(
    replica: Annotated[
        str | None, typer.Argument(metavar="REPLICA", help="The replica's name; else those without a vote.")
    ] = None,
    is_all: Annotated[bool, typer.Option("--all", help="Every replica.")] = False,
    strategy: Annotated[
        Strategy | None, typer.Option(help="How; each replica's own strategy unless given.", show_default=False)
    ] = None,
    as_json: AsJson = False,
    cell: CellName = None,
) -> None:
    """Rebuild replicas of a running cell, and wait until they vote."""
    recover.recover(cell, replica, is_all, None if strategy is None else strategy.value, as_json)


@bench_app.command("versus")
def _bench_versus(
    as_json: AsJson = False,
    quick: Annotated[bool, typer.Option("--quick", help="A rough answer in a minute.")] = False,
    rounds: Annotated[int | None, typer.Option(min=1, max=100, help="How many interleaved rounds.")] = None,
) -> None:
    """Compare the cell with one server, alone and behind HAProxy."""
    bench.versus(as_json, quick, rounds)


@bench_app.command("core")
def _bench_core(as_json: AsJson = False) -> None:
    """Measure what a request costs in the trusted core alone."""
    bench.core(as_json)


@bench_app.command("vmfit")
def _bench_vmfit(
    as_json: AsJson = False,
    quick: Annotated[bool, typer.Option("--quick", help="The schedule in half a minute, and little state.")] = False,
    scale: Annotated[int | None, typer.Option(min=1, max=60, help="How much faster than the paper.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where to write CSV, figure and table.")] = None,
) -> None:
    """Reproduce the recovery experiment of VM-FIT: four strategies under malicious replicas."""
    bench.vmfit(as_json, quick, scale, out)


def _in_our_words(error: TyperException) -> str:
    """What is wrong with the arguments. What pydantic found wrong with a value is not said in pydantic's words."""
    found = error.__cause__
    if isinstance(found, ValidationError):
        detail = found.errors(include_url=False)[0]
        match detail["type"]:
            case "value_error":
                error.message = str(detail["ctx"]["error"])
            case "int_parsing":
                error.message = f"must be an integer, not {detail['input']!r}"
            case _:
                error.message, _ = explain_value(detail)
    return error.format_message()


def main() -> None:
    """Run one command and exit. Errors are said on stderr; a bug of our own leaves its traceback."""
    try:
        code: int = app(standalone_mode=False) or 0
        sys.stdout.flush()
    except ConfigFault as fault:
        for problem in fault.problems:
            screen.print_error(str(problem), problem.hint)
        code = IMPOSSIBLE
    except OperatorFault as fault:
        screen.print_error(str(fault), fault.hint)
        code = IMPOSSIBLE
    except QuorateError as error:
        screen.print_error(f"{type(error).__name__}: {error}")
        code = FAILED
    except TyperException as error:
        screen.print_error(_in_our_words(error), "quorate --help lists commands and options")
        code = error.exit_code
    except (Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone; nothing is left to flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = FAILED
    sys.exit(code)
