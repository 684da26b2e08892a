"""Configuration: what is right is read, what is wrong is refused, everything at once and with a hint."""

import re
import sys
import tomllib
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quorate.config import LISTS, TABLES, Config, ConfigFault, Problem, keys_of, load
from quorate.config_values import Address, Duration
from quorate.trusted.errors import OperatorFault
from quorate.trusted.limits import Limits

EXAMPLES = Path(__file__).parents[1] / "examples"
DOCUMENTATION = EXAMPLES.parent / "docs" / "configuration.md"

CELL = '[cell]\nname = "x"\n'
VARIANT = '[[variant]]\nname = "v"\nprogram = "{python}"\nargs = ["--socket", "{socket}"]\n'
REPLICAS = "".join(f'[[replica]]\nname = "{name}"\nvariants = ["v"]\n' for name in "abc")

Loader = Callable[[str], Config]
Refused = Callable[[str], dict[str, Problem]]


@pytest.fixture
def read(tmp_path: Path) -> Loader:
    def read(text: str) -> Config:
        path = tmp_path / "cell.toml"
        path.write_text(text)
        return load(path, {"XDG_STATE_HOME": "/state", "PATH": "/usr/bin:/bin"})

    return read


@pytest.fixture
def refused(read: Loader) -> Refused:
    """Load what must be refused; return its problems by key."""

    def refused(text: str) -> dict[str, Problem]:
        with pytest.raises(ConfigFault) as caught:
            read(text)
        problems = caught.value.problems
        assert problems
        assert all(problem.file.name == "cell.toml" and problem.message and problem.hint for problem in problems)
        return {problem.key: problem for problem in problems}

    return refused


def whole(cell: str = CELL, variant: str = VARIANT, replicas: str = REPLICAS, more: str = "") -> str:
    return cell + more + variant + replicas


def test_the_least_configuration_takes_every_default(read: Loader, tmp_path: Path) -> None:
    config = read(whole())
    assert config.path == tmp_path / "cell.toml"
    assert config.cell.protocol == "redis"
    assert config.cell.listen == Address("127.0.0.1", 7379)
    assert config.cell.f == 1
    assert config.cell.state == Path("/state/quorate/x")
    assert config.cell.drills is False
    assert config.cell.password() is None
    assert config.cell.scripts == ()
    assert config.cell.on_quorum_lost == "errors"
    assert config.journal.sync == "off"
    assert config.checkpoint.every == Duration(10_000_000_000)
    assert (config.recovery.strategy, str(config.recovery.every), config.recovery.reactive) == ("none", "1h", True)
    assert config.every_ns() == [0, 0, 0], "nothing is planned"
    assert config.limits == Limits()
    assert (config.evidence.payloads, config.evidence.entries_max) == ("full", 10_000)
    assert config.metrics.listen is None
    assert (config.log.format, config.log.level) == ("human", "info")
    assert config.variants["v"].program == sys.executable
    assert [(replica.name, replica.domain) for replica in config.replicas] == [
        ("a", "sandbox"),
        ("b", "sandbox"),
        ("c", "sandbox"),
    ]


def test_every_key_can_be_given(read: Loader, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("open sesame\n")
    secret.chmod(0o600)
    (tmp_path / "allocator.so").touch()
    digest = "a" * 40
    config = read(
        f"""
        [cell]
        name = "x"
        protocol = "redis"
        listen = "0.0.0.0:7000"
        f = 2
        state = "here"
        drills = true
        password_file = "password"
        scripts = ["{digest}"]
        on_quorum_lost = "halt"
        [journal]
        sync = "always"
        [checkpoint]
        every = 5_000
        [recovery]
        strategy = "shadow-all"
        every = "10m"
        reactive = false
        [limits]
        clients_max = 7
        memory_bytes_max = 1_000_000
        [evidence]
        payloads = "hash"
        entries_max = 5
        payload_bytes_max = 0
        [metrics]
        listen = "[::1]:9000"
        [log]
        format = "json"
        level = "debug"
        [[variant]]
        name = "v"
        program = "sh"
        args = ["{{directory}}", "{{socket}}", "{{}}"]
        env = {{ TZ = "UTC" }}
        preload = ["./allocator.so"]
        memory = "256MiB"
        """
        + "".join(
            f'[[replica]]\nname = "r{seat}"\ndomain = "process"\nvariants = ["v"]\nevery = "{seat + 1}m"\n'
            + ('strategy = "shadow"\n' if seat else "")
            for seat in range(5)
        )
    )
    assert config.cell.listen == Address("0.0.0.0", 7000)
    assert config.cell.state == tmp_path / "here"
    assert config.cell.password() == b"open sesame"
    assert config.cell.scripts == (digest,)
    assert config.limits == Limits(clients_max=7, memory_bytes_max=1_000_000)
    assert config.metrics.listen == Address("::1", 9000)
    assert str(config.metrics.listen) == "[::1]:9000"
    variant = config.variants["v"]
    assert variant.program in ("/usr/bin/sh", "/bin/sh")
    assert variant.preload == (str(tmp_path / "allocator.so"),)
    assert (variant.env, variant.memory) == ({"TZ": "UTC"}, 256 * 2**20)
    assert len(config.replicas) == 5
    assert (config.journal.sync, config.checkpoint.every) == ("always", 5_000)
    assert (config.recovery.strategy, config.recovery.reactive) == ("shadow-all", False)
    assert config.strategies() == ["shadow-all", *["shadow"] * 4]
    assert config.every_ns() == [minutes * 60_000_000_000 for minutes in range(1, 6)]


def test_a_replica_without_a_period_of_its_own_takes_the_cell_s(read: Loader) -> None:
    replicas = REPLICAS.replace('name = "b"', 'name = "b"\nevery = "90s"')
    config = read(whole(replicas=replicas, more='[recovery]\nstrategy = "shadow"\nevery = "1h"\n'))
    assert config.every_ns() == [3_600_000_000_000, 90_000_000_000, 3_600_000_000_000]


def test_a_replica_may_have_a_strategy_of_its_own(read: Loader) -> None:
    replicas = REPLICAS.replace('name = "b"', 'name = "b"\nstrategy = "none"').replace(
        'name = "c"', 'name = "c"\nstrategy = "restart"\nevery = "90s"'
    )
    hour = 3_600_000_000_000
    for cell in ("shadow", "shadow-all"):
        config = read(whole(replicas=replicas, more=f'[recovery]\nstrategy = "{cell}"\n'))
        assert config.strategies() == [cell, "none", "restart"]
        assert config.every_ns() == [hour, 0, 90_000_000_000]
    config = read(whole(replicas=replicas))
    assert config.strategies() == ["none", "none", "restart"]
    assert config.every_ns() == [0, 0, 90_000_000_000], "a plan of its own, though the cell has none"


def test_one_replica_has_no_shadow_all_of_its_own(refused: Refused) -> None:
    problems = refused(whole(replicas=REPLICAS.replace('name = "b"', 'name = "b"\nstrategy = "shadow-all"')))
    assert problems["replica[2].strategy"].message == "one replica alone has no shadow-all"
    assert problems["replica[2].strategy"].hint == "set recovery.strategy, or write shadow here"
    for wrong in ('"sideways"', "true", "3", "[]"):
        problems = refused(whole(replicas=REPLICAS.replace('name = "b"', f'name = "b"\nstrategy = {wrong}')))
        assert problems["replica[2].strategy"].message.startswith('must be "none", "restart" or "shadow", not ')


@pytest.mark.parametrize("sync", ["off", "interval", "always"])
def test_the_journal_may_be_synced_in_three_ways(read: Loader, sync: str) -> None:
    assert read(whole(more=f'[journal]\nsync = "{sync}"\n')).journal.sync == sync


def test_kv_example_is_right() -> None:
    config = load(EXAMPLES / "kv.toml")
    assert config.cell.listen == Address("127.0.0.1", 7380)
    assert {variant.program for variant in config.variants.values()} == {sys.executable}
    assert config.cell.drills


@pytest.mark.needs("redis-server")
def test_redis_example_is_right() -> None:
    config = load(EXAMPLES / "redis.toml")
    assert config.cell.listen == Address("127.0.0.1", 7379)
    assert len({replica.variants[0] for replica in config.replicas}) == 3
    assert len({variant.args for variant in config.variants.values()}) == 1, "variants must answer alike"
    assert len({variant.preload for variant in config.variants.values()}) == len(config.variants) == 4
    assert all(limit > config.limits.memory_bytes_max for limit in (v.memory for v in config.variants.values()))


def test_counter_example_is_right() -> None:
    config = load(EXAMPLES / "counter.toml")
    assert config.cell.listen == Address("127.0.0.1", 7386)
    assert (config.recovery.strategy, config.recovery.reactive) == ("shadow", True)
    assert len({replica.variants[0] for replica in config.replicas}) == 3
    assert {frozenset(replica.variants) for replica in config.replicas} == {frozenset(config.variants)}


@pytest.mark.needs("redis-server", "libmimalloc.so.2", "libtcmalloc_minimal.so.4")
def test_redis_durable_example_is_the_redis_example_with_a_memory() -> None:
    durable, plain = load(EXAMPLES / "redis-durable.toml"), load(EXAMPLES / "redis.toml")
    assert durable.cell.listen == Address("127.0.0.1", 7385)
    assert durable.journal.sync == "always"
    assert durable.recovery.strategy == "shadow"
    assert durable.every_ns() == [600_000_000_000] * 3
    assert (durable.variants, durable.replicas, durable.limits) == (plain.variants, plain.replicas, plain.limits)


def test_all_problems_come_at_once_in_the_order_of_the_sections(refused: Refused) -> None:
    problems = refused(
        """
        [cell]
        nam = "x"
        f = "one"
        listen = "localhost"
        [jornal]
        sync = "off"
        [evidence]
        entries_max = 0
        [limits]
        client_max = 1
        clients_max = "many"
        [[variant]]
        name = "V"
        program = "no such program"
        sise = 3
        [[replica]]
        name = "a"
        domain = "sandbux"
        variants = ["w"]
        """
    )
    assert list(problems) == [
        "jornal",
        "cell.name",
        "cell.listen",
        "cell.f",
        "cell.nam",
        "limits.client_max",
        "limits.clients_max",
        "evidence.entries_max",
        "variant[1].name",
        "variant[1].program",
        "variant[1].sise",
        "replica[1].domain",
        "replica[1].variants",
    ]
    assert problems["jornal"].hint == "did you mean journal?"
    assert problems["cell.nam"].hint == "did you mean name?"
    assert problems["limits.client_max"].hint == "did you mean clients_max?"
    assert problems["replica[1].domain"].hint == "did you mean sandbox?"


WRONG_CELLS = {
    'name = "X"': "cell.name",
    'name = ""': "cell.name",
    f'name = "{"x" * 33}"': "cell.name",
    'name = "../x"': "cell.name",
    "name = 3": "cell.name",
    'name = "x"\nprotocol = "http"': "cell.protocol",
    'name = "x"\nlisten = "127.0.0.1"': "cell.listen",
    'name = "x"\nlisten = "127.0.0.1:70000"': "cell.listen",
    'name = "x"\nlisten = ":7379"': "cell.listen",
    'name = "x"\nlisten = "::1:7379"': "cell.listen",
    'name = "x"\nlisten = 7379': "cell.listen",
    'name = "x"\nlisten = "0.0.0.0:7379"': "cell.listen",
    'name = "x"\nlisten = "[::]:7379"': "cell.listen",
    'name = "x"\nlisten = "example.org:7379"': "cell.listen",
    'name = "x"\nf = 0': "cell.f",
    'name = "x"\nf = true': "cell.f",
    'name = "x"\nf = 1.0': "cell.f",
    'name = "x"\nstate = ""': "cell.state",
    'name = "x"\nstate = 3': "cell.state",
    'name = "x"\ndrills = "yes"': "cell.drills",
    'name = "x"\ndrills = 1': "cell.drills",
    'name = "x"\npassword_file = "absent"': "cell.password_file",
    'name = "x"\nscripts = ["abc"]': "cell.scripts[1]",
    f'name = "x"\nscripts = ["{"A" * 40}"]': "cell.scripts[1]",
    'name = "x"\nscripts = "abc"': "cell.scripts",
    'name = "x"\non_quorum_lost = "guess"': "cell.on_quorum_lost",
    'name = "x"\nsync = "off"': "cell.sync",
}


@pytest.mark.parametrize(("cell", "key"), WRONG_CELLS.items())
def test_wrong_cells_are_refused(refused: Refused, cell: str, key: str) -> None:
    assert key in refused(whole(cell=f"[cell]\n{cell}\n"))


WRONG_SECTIONS = {
    '[journal]\nsync = "sometimes"\n': "journal.sync",
    "[journal]\nsync = false\n": "journal.sync",
    "[limits]\nclients_max = true\n": "limits.clients_max",
    "[limits]\nclients_max = 1.5\n": "limits.clients_max",
    "[limits]\nmemory_bytes_max = -1\n": "limits.memory_bytes_max",
    "[limits]\nclients_max = 0\n": "limits",
    "[limits]\nrequest_bytes_max = 999_999_999_999\n": "limits",
    "[[limits]]\nclients_max = 1\n": "limits",
    "[limits]\nf = 1\n": "limits.f",
    '[evidence]\npayloads = "none"\n': "evidence.payloads",
    '[evidence]\nentries_max = "10"\n': "evidence.entries_max",
    "[evidence]\npayload_bytes_max = -1\n": "evidence.payload_bytes_max",
    '[metrics]\nlisten = "0.0.0.0:9000"\n': "metrics.listen",
    '[metrics]\nlisten = "nine thousand"\n': "metrics.listen",
    "[metrics]\nlisten = 9000\n": "metrics.listen",
    '[log]\nformat = "xml"\n': "log.format",
    '[log]\nlevel = "loud"\n': "log.level",
    "[checkpoint]\nevery = 0\n": "checkpoint.every",
    "[checkpoint]\nevery = true\n": "checkpoint.every",
    '[checkpoint]\nevery = "soon"\n': "checkpoint.every",
    '[recovery]\nstrategy = "shadows"\n': "recovery.strategy",
    "[recovery]\nevery = 60\n": "recovery.every",
    '[recovery]\nevery = "10 minutes"\n': "recovery.every",
    '[recovery]\nevery = "1ms"\n': "recovery.every",
    '[recovery]\nreactive = "yes"\n': "recovery.reactive",
    '[recovery]\nevry = "1h"\n': "recovery.evry",
    '[[log]]\nlevel = "info"\n': "log",
}


@pytest.mark.parametrize(("section", "key"), WRONG_SECTIONS.items())
def test_wrong_sections_are_refused(refused: Refused, section: str, key: str) -> None:
    assert list(refused(whole(more=section))) == [key]


WRONG_VARIANTS = {
    'program = "sh"': "variant[1].name",
    'name = "v"': "variant[1].program",
    'name = "v"\nprogram = "no such program"': "variant[1].program",
    'name = "v"\nprogram = "./absent"': "variant[1].program",
    'name = "v"\nprogram = "./cell.toml"': "variant[1].program",
    'name = "v"\nprogram = "/tmp"': "variant[1].program",
    'name = "v"\nprogram = "sh"\nargs = "one"': "variant[1].args",
    'name = "v"\nprogram = "sh"\nargs = [1]': "variant[1].args[1]",
    'name = "v"\nprogram = "sh"\nargs = ["a", "{sokcet}"]': "variant[1].args[2]",
    'name = "v"\nprogram = "sh"\nargs = ["\\u0000"]': "variant[1].args[1]",
    'name = "v"\nprogram = "sh"\nenv = { LD_PRELOAD = "x.so" }': "variant[1].env",
    'name = "v"\nprogram = "sh"\nenv = { "A=B" = "x" }': "variant[1].env",
    'name = "v"\nprogram = "sh"\nenv = { A = 1 }': "variant[1].env.A",
    'name = "v"\nprogram = "sh"\npreload = ["absent.so.9"]': "variant[1].preload",
    'name = "v"\nprogram = "sh"\npreload = ["/absent/x.so"]': "variant[1].preload",
    'name = "v"\nprogram = "sh"\npreload = ["a b.so"]': "variant[1].preload",
    'name = "v"\nprogram = "sh"\nroot = "absent"': "variant[1].root",
    'name = "v"\nprogram = "sh"\nroot = "."': "variant[1].program",
    'name = "v"\nprogram = "/bin/not.there"\nroot = "."': "variant[1].program",
    'name = "v"\nprogram = "{python}"\nroot = "."': "variant[1].program",
    'name = "v"\nprogram = "sh"\nmemory = "256XB"': "variant[1].memory",
    'name = "v"\nprogram = "sh"\nmemory = "256"': "variant[1].memory",
    'name = "v"\nprogram = "sh"\nmemory = 12': "variant[1].memory",
    'name = "v"\nprogram = "sh"\nmemory = -5': "variant[1].memory",
    'name = "v"\nprogram = "sh"\nmemory = true': "variant[1].memory",
    'name = "v"\nprogram = "sh"\nmemroy = "1GB"': "variant[1].memroy",
    'name = "v"\nprogram = "sh"\n[[variant]]\nname = "v"\nprogram = "sh"': "variant.name",
}


@pytest.mark.parametrize(("variant", "key"), WRONG_VARIANTS.items())
def test_wrong_variants_are_refused(refused: Refused, variant: str, key: str) -> None:
    assert key in refused(whole(variant=f"[[variant]]\n{variant}\n"))


def replica(name: str, more: str = 'variants = ["v"]') -> str:
    return f'[[replica]]\nname = "{name}"\n{more}\n'


WRONG_REPLICAS = {
    "": "replica",
    replica("a"): "replica",
    replica("a") + replica("b"): "replica",
    "".join(map(replica, "abcd")): "replica",
    replica("a") + replica("a") + replica("b"): "replica.name",
    replica("a") + replica("b") + replica("c", ""): "replica[3].variants",
    replica("a") + replica("b") + replica("c", "variants = []"): "replica[3].variants",
    replica("a") + replica("b") + replica("c", 'variants = "v"'): "replica[3].variants",
    replica("a") + replica("b") + replica("c", 'variants = ["w"]'): "replica[3].variants",
    replica("a") + replica("b") + replica("c", 'variants = ["v", "v"]'): "replica[3].variants",
    replica("a") + replica("b") + replica("c", 'domain = "microvm"\nvariants = ["v"]'): "replica[3].domain",
    replica("a") + replica("b") + replica("C"): "replica[3].name",
    replica("a") + replica("b") + replica("c", 'variants = ["v"]\nevery = 5'): "replica[3].every",
    replica("a") + replica("b") + '[[replica]]\nvariants = ["v"]\n': "replica[3].name",
    '[replica]\nname = "a"\nvariants = ["v"]\n': "replica",
}


@pytest.mark.parametrize(("replicas", "key"), WRONG_REPLICAS.items())
def test_wrong_replicas_are_refused(refused: Refused, replicas: str, key: str) -> None:
    assert list(refused(whole(replicas=replicas))) == [key]


SHAPES = {
    'args = "x"': ("args", "must be a list", 'write it in brackets: ["first", "next"]'),
    "args = [1]": ("args[1]", "must be a string", "write it in double quotes"),
    'env = "x"': ("env", "must be a table of names and strings", 'write it in braces: { NAME = "value" }'),
    "env = { A = 1 }": ("env.A", "must be a string", "write it in double quotes"),
}


@pytest.mark.parametrize(("line", "said"), SHAPES.items())
def test_the_shape_of_a_value_is_said_in_our_words(refused: Refused, line: str, said: tuple[str, str, str]) -> None:
    key, message, hint = said
    problem = refused(whole(variant=VARIANT.replace('args = ["--socket", "{socket}"]', line)))[f"variant[1].{key}"]
    assert (problem.message, problem.hint) == (message, hint)


def test_bounds_and_empty_lists_are_said_in_our_words(refused: Refused) -> None:
    problems = refused(
        whole(
            cell='[cell]\nname = "x"\nf = 0\ndrills = "on"\n',
            replicas=replica("a", "variants = []"),
            more="[evidence]\nentries_max = 10_000_001\npayload_bytes_max = 1.5\n",
        )
    )
    assert {key: problem.message for key, problem in problems.items()} == {
        "cell.f": "must be at least 1, not 0",
        "cell.drills": "must be true or false",
        "evidence.entries_max": "must be at most 10000000, not 10000001",
        "evidence.payload_bytes_max": "must be an integer",
        "replica[1].variants": "must not be empty",
    }
    assert problems["replica[1].variants"].hint == "name at least 1"


WRITTEN = ['"x"', '""', "3", "-1", "1.5", "true", '["x"]', "[]", "[[1]]", "{ a = 1 }", "{}", "1979-05-27", "inf"]


@pytest.mark.parametrize("value", WRITTEN)
def test_no_key_is_refused_in_the_words_of_a_library(read: Loader, value: str) -> None:
    """Whatever is written at whatever key."""
    for section, kind in (TABLES | LISTS).items():
        head = f"[{section}]" if section in TABLES else f"[[{section}]]"
        for key in keys_of(section):
            with pytest.raises(ConfigFault) as caught:
                read(f"{head}\n{key} = {value}\n")
            said = " ".join(problem.message + problem.hint for problem in caught.value.problems)
            assert not re.search(r"[Ii]nput|valid|Tuple|dictionary|cannot be used", said), (kind, key, said)


def test_two_variants_of_one_name_are_one_suggestion(refused: Refused) -> None:
    problems = refused(whole(variant=VARIANT + VARIANT, replicas=REPLICAS.replace('["v"]', '["other"]')))
    assert problems["variant.name"].message == "2 of them are named 'v'"
    assert problems["replica[1].variants"].hint == "the variants are: v"


def test_the_number_of_replicas_follows_f(refused: Refused) -> None:
    problem = refused(whole(cell='[cell]\nname = "x"\nf = 2\n'))["replica"]
    assert "exactly 5 replicas, not 3" in problem.message
    assert "2f+1 = 5" in problem.hint


def test_a_configuration_without_variants_says_so(refused: Refused) -> None:
    assert "variant" in refused(CELL + REPLICAS)


def test_sections_of_the_wrong_shape_are_refused(refused: Refused) -> None:
    problems = refused("cell = 3\nvariant = 4\nreplica = [1, 2, 3]\nlog = [1]\nname = 1\nlimits = 5\n")
    assert {"cell", "variant", "replica[1]", "log", "name", "limits"} <= problems.keys()
    assert problems["name"].hint == "name belongs to [cell] or [[variant]] or [[replica]]"


def test_a_key_in_the_wrong_section_is_shown_home(refused: Refused) -> None:
    problem = refused(whole(more='[log]\ndrills = true\nlevel = "info"\n'))["log.drills"]
    assert problem.hint == "drills belongs to [cell]"


@pytest.mark.parametrize(
    "content",
    [
        b"not toml",
        b"[cell\n",
        b"a = 1\na = 2\n",
        b"\xff\xfe",
        b"n = " + b"9" * 5_000,
        b"n = " + b"[" * 20_000,
        b"# " + b"x" * 1_048_576,
    ],
)
def test_a_file_that_is_no_toml_is_one_problem(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigFault) as caught:
        load(path)
    assert len(caught.value.problems) == 1
    assert str(path) in str(caught.value)


def test_an_absent_file_and_a_directory_are_operator_faults(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.toml", tmp_path):
        with pytest.raises(OperatorFault) as caught:
            load(path)
        assert caught.value.hint


def test_an_empty_file_names_what_is_missing(refused: Refused) -> None:
    assert set(refused("")) == {"cell.name", "variant", "replica"}


def test_passwords_must_be_private_and_not_empty(refused: Refused, read: Loader, tmp_path: Path) -> None:
    secret, cell = tmp_path / "password", '[cell]\nname = "x"\npassword_file = "password"\n'
    secret.write_text("secret")
    secret.chmod(0o604)
    assert "chmod 600" in refused(whole(cell=cell))["cell.password_file"].hint
    secret.chmod(0o600)
    assert read(whole(cell=cell)).cell.password() == b"secret"
    secret.write_text("\n")
    assert "cell.password_file" in refused(whole(cell=cell))


def test_an_unreadable_password_does_not_blame_the_address_too(refused: Refused) -> None:
    cell = '[cell]\nname = "x"\nlisten = "0.0.0.0:7379"\npassword_file = "absent"\n'
    assert list(refused(whole(cell=cell))) == ["cell.password_file"]


def test_a_variant_with_a_root_finds_program_and_libraries_in_it(read: Loader, tmp_path: Path) -> None:
    (tmp_path / "image/bin").mkdir(parents=True)
    (tmp_path / "image/usr/lib").mkdir(parents=True)
    program = tmp_path / "image/bin/the.service"
    program.touch()
    program.chmod(0o755)
    (tmp_path / "image/usr/lib/inside.so.1").touch()
    variant = '[[variant]]\nname = "v"\nroot = "image"\nprogram = "/bin/the.service"\npreload = ["inside.so.1"]\n'
    found = read(whole(variant=variant)).variants["v"]
    assert found.root == tmp_path / "image"
    assert found.program == "/bin/the.service"
    assert found.preload == ("/usr/lib/inside.so.1",)


def test_keys_of_names_every_key_of_a_section() -> None:
    assert keys_of("limits") == tuple(field.name for field in fields(Limits))
    assert "on_quorum_lost" in keys_of("cell")
    assert {*TABLES, *LISTS} == {
        *("cell", "journal", "checkpoint", "recovery", "limits", "evidence", "metrics", "log"),
        *("variant", "replica"),
    }


def test_the_documentation_states_every_limit_and_its_default() -> None:
    section = DOCUMENTATION.read_text().partition("`[limits]`")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|", section, re.MULTILINE)
    stated = {name: int(default) for name, default in rows}
    assert stated == {field.name: field.default for field in fields(Limits)}


def test_the_least_configuration_of_the_documentation_is_right(tmp_path: Path) -> None:
    example = re.findall(r"```toml\n(.*?)```", DOCUMENTATION.read_text(), re.DOTALL)[0]
    path = tmp_path / "least.toml"
    path.write_text(example.replace("redis-server", "{python}"))
    assert len(load(path).replicas) == 3


KEYS = st.sampled_from(sorted({key for section in (*TABLES, *LISTS) for key in keys_of(section)} | {"nonsense", ""}))
WORDS = st.sampled_from(
    ["", "a", "v", "redis", "{python}", "sh", "/", "127.0.0.1:1", "0.0.0.0:1", "off", "full", "\0", "é", "~x/"]
)
SCALARS = st.one_of(
    WORDS, st.integers(), st.booleans(), st.floats(), st.text(max_size=5), st.dates(), st.binary(max_size=2)
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | WORDS, inner, max_size=3), max_leaves=6
)
SECTIONS = st.dictionaries(KEYS, VALUES, max_size=5)
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(TABLES, SECTIONS | VALUES),
        **dict.fromkeys(LISTS, st.lists(SECTIONS, max_size=4) | VALUES),
        "nonsense": VALUES,
    },
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=DOCUMENTS)
def test_whatever_is_written_there_is_no_other_error(
    document: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tomllib, "loads", lambda text: document)
    path = tmp_path / "cell.toml"
    path.touch()
    with pytest.raises(ConfigFault) as caught:
        load(path)
    assert all(problem.message and problem.hint for problem in caught.value.problems)
