"""What is allowed, yet weaker than it looks, is said."""

from pathlib import Path

import pytest

from quorate.config import load
from quorate.config_warnings import warnings

VARIANTS = "".join(
    f'[[variant]]\nname = "{name}"\nprogram = "{{python}}"\nargs = ["-m", "{name}", "{{socket}}"]\n' for name in "uvw"
)


def warned(tmp_path: Path, replicas: str, cell: str = "", variants: str = VARIANTS, more: str = "") -> tuple[str, ...]:
    path = tmp_path / "cell.toml"
    path.write_text(f'[cell]\nname = "x"\n{cell}{more}{variants}{replicas}')
    return warnings(load(path))


def seats(*variants: str, domain: str = "sandbox") -> str:
    return "".join(
        f'[[replica]]\nname = "{name}"\ndomain = "{domain}"\nvariants = ["{variant}"]\n'
        for name, variant in zip("abc", variants, strict=True)
    )


def test_diverse_sandboxes_on_loopback_are_worth_no_warning(tmp_path: Path) -> None:
    assert warned(tmp_path, seats("u", "v", "w")) == ()


def test_process_domains_are_no_isolation(tmp_path: Path) -> None:
    (warning,) = warned(tmp_path, seats("u", "v", "w", domain="process"))
    assert warning.startswith("a, b, c: domain process is no isolation")


def test_seats_with_one_recipe_are_named(tmp_path: Path) -> None:
    alike, unused = warned(tmp_path, seats("u", "v", "u"))
    assert alike.startswith("a, c: the same recipe")
    assert unused.endswith("variant w")


def test_drills_are_said(tmp_path: Path) -> None:
    (warning,) = warned(tmp_path, seats("u", "v", "w"), cell="drills = true\n")
    assert "drills are on" in warning


def test_an_open_address_is_said(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("x")
    secret.chmod(0o600)
    (warning,) = warned(tmp_path, seats("u", "v", "w"), cell='listen = "0.0.0.0:1"\npassword_file = "password"\n')
    assert warning == "0.0.0.0:1 is open to other machines, without encryption"


def test_a_service_that_is_not_told_its_socket_is_said(tmp_path: Path) -> None:
    deaf = VARIANTS.replace('"{socket}"', '"{directory}"', 1)
    (warning,) = warned(tmp_path, seats("u", "v", "w"), variants=deaf)
    assert warning.startswith("u: no argument has {socket}")


def test_what_a_restart_costs_is_said(tmp_path: Path) -> None:
    (warning,) = warned(tmp_path, seats("u", "v", "w"), more='[recovery]\nstrategy = "restart"\n')
    assert warning == (
        "strategy restart costs a vote during every rebuild: a fault meanwhile stops the cell; shadow costs none"
    )
    five = seats("u", "v", "w") + seats("u", "v", "w").replace('"a"', '"d"').replace('"b"', '"e"').rpartition("[[")[0]
    more = '[recovery]\nstrategy = "restart"\n'
    (_, _, warning) = warned(tmp_path, five, cell="f = 2\n", more=more)
    assert "only 1 more may be faulty meanwhile" in warning


@pytest.mark.parametrize("strategy", ["none", "shadow", "shadow-all"])
def test_strategies_that_cost_no_vote_are_worth_no_warning(tmp_path: Path, strategy: str) -> None:
    assert warned(tmp_path, seats("u", "v", "w"), more=f'[recovery]\nstrategy = "{strategy}"\n') == ()


def test_a_cell_that_does_not_heal_by_itself_is_said(tmp_path: Path) -> None:
    (warning,) = warned(tmp_path, seats("u", "v", "w"), more="[recovery]\nreactive = false\n")
    assert warning.startswith("recovery.reactive is off")


def test_a_period_without_a_strategy_is_said(tmp_path: Path) -> None:
    replicas = seats("u", "v", "w").replace('name = "b"', 'name = "b"\nevery = "10m"')
    (warning,) = warned(tmp_path, replicas)
    assert warning == "b: every has no effect, since the strategy is none"
    assert warned(tmp_path, replicas, more='[recovery]\nstrategy = "shadow"\n') == ()
    own = replicas.replace("every", 'strategy = "{}"\nevery')
    assert warned(tmp_path, own.format("shadow")) == ()
    assert warned(tmp_path, own.format("none"), more='[recovery]\nstrategy = "shadow"\n') == (warning,)


def test_what_a_restart_of_some_costs_is_said_of_them(tmp_path: Path) -> None:
    replicas = seats("u", "v", "w").replace('name = "b"', 'name = "b"\nstrategy = "restart"')
    (warning,) = warned(tmp_path, replicas)
    assert warning.startswith("b: strategy restart costs a vote during every rebuild: a fault meanwhile stops the cell")
    others = replicas.replace("restart", "shadow")
    (warning,) = warned(tmp_path, others, more='[recovery]\nstrategy = "restart"\n')
    assert warning.startswith("a, c: strategy restart costs a vote")
