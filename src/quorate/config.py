"""The one reader of configuration: TOML and environment into frozen dataclasses.

Knows every key and how keys relate. All problems are reported at once, each with file, key and hint; unknown keys are
refused, no default is insecure. Knows nothing of how a cell runs; whether a port is free is seen when it is bound.
"""

import difflib
import os
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.dataclasses import dataclass as checked_dataclass
from pydantic_core import ErrorDetails

from .config_values import (
    Address,
    Duration,
    Origin,
    explain_value,
    origin,
    read_address,
    read_argument,
    read_digest,
    read_duration,
    read_environment,
    read_name,
    read_optional_address,
    read_optional_duration,
    read_pace,
    read_path,
    read_preload,
    read_program,
    read_root,
    read_secret_file,
    read_size,
    refusal,
)
from .directories import state_home
from .trusted.errors import OperatorFault
from .trusted.limits import Limits
from .trusted.quorum import seats_for

CONFIG_BYTES_MAX = 1_048_576
STRICT = ConfigDict(extra="forbid")

Name = Annotated[str, AfterValidator(read_name)]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a configuration. Entries of a list are counted from 1: `replica[2].domain`."""

    file: Path
    key: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        return ": ".join(part for part in (str(self.file), self.key, self.message) if part)


class ConfigFault(OperatorFault):
    """A configuration that cannot be used, with all of its problems."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)), problems[0].hint if len(problems) == 1 else "")
        self.problems = problems


@checked_dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class CellConfig:
    """What the cell is: its protocol, its address, how many faulty replicas it outvotes."""

    name: Name
    protocol: Literal["redis"] = "redis"
    password_file: Annotated[Path | None, BeforeValidator(read_secret_file)] = None
    listen: Annotated[Address, BeforeValidator(read_address)] = Address("127.0.0.1", 7379)
    f: Annotated[StrictInt, Field(ge=1)] = 1
    state: Annotated[Path, Field(validate_default=True)] = Path()
    drills: StrictBool = False
    scripts: tuple[Annotated[str, AfterValidator(read_digest)], ...] = ()
    on_quorum_lost: Literal["errors", "halt"] = "errors"

    @field_validator("listen")
    @classmethod
    def _check_listen(cls, value: Address, info: ValidationInfo) -> Address:
        if not value.is_loopback and info.data.get("password_file", True) is None:
            raise refusal(f"{value} is open to other machines without a password", "set cell.password_file")
        return value

    @field_validator("state", mode="before")
    @classmethod
    def _read_state(cls, value: object, info: ValidationInfo) -> Path:
        if value == Path():
            return state_home(origin(info).environ) / str(info.data.get("name", ""))
        return read_path(value, info)

    def password(self) -> bytes | None:
        """The clients' password, or None when the cell asks for none. Raises `OSError` when its file is gone."""
        return self.password_file.read_bytes().strip(b"\r\n") if self.password_file else None


@checked_dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class JournalConfig:
    """Whether acknowledged writes survive the end of the whole cell."""

    sync: Literal["off", "interval", "always"] = "off"


@checked_dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class CheckpointConfig:
    """How often a checkpoint is made: every so many slots, or after this time."""

    every: Annotated[Duration | int, BeforeValidator(read_pace)] = Duration(10 * 10**9)


@checked_dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class RecoveryConfig:
    """How and how often replicas are rejuvenated, and whether one that lost its vote is rebuilt unasked."""

    strategy: Literal["none", "restart", "shadow", "shadow-all"] = "none"
    every: Annotated[Duration, BeforeValidator(read_duration)] = Duration(3_600 * 10**9)
    reactive: StrictBool = True


@checked_dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class EvidenceConfig:
    """How much evidence is kept, and whether its payloads are readable."""

    payloads: Literal["full", "hash"] = "full"
    entries_max: Annotated[StrictInt, Field(ge=1, le=10_000_000)] = 10_000
    payload_bytes_max: Annotated[StrictInt, Field(ge=0, le=67_108_864)] = 65_536


@checked_dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class MetricsConfig:
    """Where metrics are served, or None for nowhere."""

    listen: Annotated[Address | None, BeforeValidator(read_optional_address)] = None

    @field_validator("listen")
    @classmethod
    def _check_listen(cls, value: Address | None) -> Address | None:
        if value is not None and not value.is_loopback:
            raise refusal(f"{value} is open to other machines", "metrics have no password: use a loopback address")
        return value


@checked_dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class LogConfig:
    """How the log on stderr is written."""

    format: Literal["human", "json"] = "human"
    level: Literal["debug", "info", "warning", "error"] = "info"


@checked_dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class Variant:
    """A recipe for a replica. `program` and `preload` are absolute; `memory` is in bytes, 0 for no bound."""

    name: Name
    root: Annotated[Path | None, BeforeValidator(read_root)] = None
    program: str
    args: tuple[Annotated[str, AfterValidator(read_argument)], ...] = ()
    env: Annotated[dict[str, str], AfterValidator(read_environment)] = Field(default_factory=dict)
    preload: tuple[str, ...] = ()
    memory: Annotated[int, BeforeValidator(read_size)] = 0

    @field_validator("program")
    @classmethod
    def _read_program(cls, value: str, info: ValidationInfo) -> str:
        return read_program(value, info.data.get("root"), info)

    @field_validator("preload")
    @classmethod
    def _read_preload(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        return tuple(read_preload(entry, info.data.get("root"), info) for entry in value)


@checked_dataclass(frozen=True, kw_only=True, slots=True, config=STRICT)
class Replica:
    """One seat of the cell: where its replica runs, and the variants it may be, first one first."""

    name: Name
    domain: Literal["sandbox", "process"] = "sandbox"
    variants: Annotated[tuple[str, ...], Field(min_length=1)]
    strategy: Literal["none", "restart", "shadow"] | None = None
    every: Annotated[Duration | None, BeforeValidator(read_optional_duration)] = None

    @field_validator("strategy", mode="before")
    @classmethod
    def _check_strategy(cls, value: object) -> object:
        if value == "shadow-all":
            raise refusal("one replica alone has no shadow-all", "set recovery.strategy, or write shadow here")
        return value


@dataclass(frozen=True, slots=True)
class Config:
    """A whole configuration, checked."""

    path: Path
    cell: CellConfig
    journal: JournalConfig
    checkpoint: CheckpointConfig
    recovery: RecoveryConfig
    limits: Limits
    evidence: EvidenceConfig
    metrics: MetricsConfig
    log: LogConfig
    variants: dict[str, Variant]
    replicas: tuple[Replica, ...]

    def strategies(self) -> list[str]:
        """How each seat's replica is rejuvenated: its own strategy, else the cell's."""
        return [replica.strategy or self.recovery.strategy for replica in self.replicas]

    def every_ns(self) -> list[int]:
        """How often each seat's replica is rejuvenated, in nanoseconds; 0 for never."""
        planned = zip(self.replicas, self.strategies(), strict=True)
        return [0 if strategy == "none" else (replica.every or self.recovery.every).ns for replica, strategy in planned]


TABLES: dict[str, type] = {
    "cell": CellConfig,
    "journal": JournalConfig,
    "checkpoint": CheckpointConfig,
    "recovery": RecoveryConfig,
    "limits": Limits,
    "evidence": EvidenceConfig,
    "metrics": MetricsConfig,
    "log": LogConfig,
}
LISTS: dict[str, type] = {"variant": Variant, "replica": Replica}
# The limits belong to the trusted core, which knows no pydantic: they are read by hand.
_ADAPTERS: dict[type, TypeAdapter[Any]] = {
    kind: TypeAdapter(kind) for kind in (*TABLES.values(), *LISTS.values()) if kind is not Limits
}


def keys_of(section: str) -> tuple[str, ...]:
    """The names of the keys of one section, in the order of the documentation."""
    return tuple(field.name for field in fields((TABLES | LISTS)[section]))


def load(path: Path, environ: Mapping[str, str] | None = None) -> Config:
    """Read and check the configuration at `path`. Raises `ConfigFault` with every problem found."""
    path = Path(path).absolute()
    return _Reader(path, Origin(path.parent, os.environ if environ is None else environ)).read()


class _Reader:
    """Reads one file: each section by itself, so that a problem in one does not hide those of another."""

    def __init__(self, path: Path, source: Origin) -> None:
        self.path = path
        self.origin = source
        self.problems: list[Problem] = []

    def read(self) -> Config:
        document = self._parse()
        for key in [key for key in document if key not in TABLES and key not in LISTS]:
            self._report(key, "unknown section" if isinstance(document[key], dict) else "unknown key", _place_of(key))
        cell = self._table("cell", CellConfig, document)
        journal = self._table("journal", JournalConfig, document)
        checkpoint = self._table("checkpoint", CheckpointConfig, document)
        recovery = self._table("recovery", RecoveryConfig, document)
        limits = self._limits(document.get("limits", {}))
        evidence = self._table("evidence", EvidenceConfig, document)
        metrics = self._table("metrics", MetricsConfig, document)
        log = self._table("log", LogConfig, document)
        variants = self._list("variant", Variant, document)
        replicas = self._list("replica", Replica, document)
        self._check_seats(document)
        self._check_variants(document)
        if cell and journal and checkpoint and recovery and limits and evidence and metrics and log:
            tables = (cell, journal, checkpoint, recovery, limits, evidence, metrics, log)
            if not self.problems:
                return Config(self.path, *tables, {variant.name: variant for variant in variants}, tuple(replicas))
        raise ConfigFault(self.problems)

    def _report(self, key: str, message: str, hint: str = "") -> None:
        self.problems.append(Problem(self.path, key, message, hint or "see docs/configuration.md"))

    def _parse(self) -> dict[str, Any]:
        try:
            with self.path.open("rb") as file:
                text = file.read(CONFIG_BYTES_MAX + 1)
            if len(text) > CONFIG_BYTES_MAX:
                raise ConfigFault([Problem(self.path, "", f"the file is larger than {CONFIG_BYTES_MAX} bytes")])
            return tomllib.loads(text.decode())
        except OSError as error:
            hint = "name a configuration file, such as examples/kv.toml"
            raise ConfigFault([Problem(self.path, "", f"cannot be read: {error.strerror}", hint)]) from None
        except UnicodeDecodeError:
            raise ConfigFault([Problem(self.path, "", "is not UTF-8", "save the file as UTF-8")]) from None
        except (ValueError, RecursionError) as error:
            raise ConfigFault([Problem(self.path, "", f"is not TOML: {error}", "see toml.io/en/v1.0.0")]) from None

    def _table(self, key: str, kind: type[T], document: dict[str, Any]) -> T | None:
        if isinstance(document.get(key), list):
            self._report(key, "this section stands once", f"write [{key}], with single brackets")
            return None
        return self._entry(key, key, kind, document.get(key, {}))

    def _list(self, key: str, kind: type[T], document: dict[str, Any]) -> list[T]:
        raw = document.get(key, [])
        if not isinstance(raw, list):
            self._report(key, "this section is a list", f"write [[{key}]], with double brackets, once for each")
            return []
        entries = [self._entry(f"{key}[{place}]", key, kind, entry) for place, entry in enumerate(raw, 1)]
        for name, count in Counter(_names(document, key)).items():
            if count > 1:
                self._report(f"{key}.name", f"{count} of them are named {name!r}", "give each its own name")
        return [entry for entry in entries if entry is not None]

    def _entry(self, key: str, section: str, kind: type[T], raw: object) -> T | None:
        try:
            entry: T = _ADAPTERS[kind].validate_python(raw, context=self.origin)
            return entry
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                place = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in detail["loc"])
                self._report(key + place, *_explain(detail, section))
            return None

    def _limits(self, raw: object) -> Limits | None:
        if not isinstance(raw, dict):
            self._report("limits", "must be a section of keys", "write [limits], with single brackets")
            return None
        known = keys_of("limits")
        for key in [key for key in raw if key not in known]:
            self._report(f"limits.{key}", "unknown key", _suggest(key, known) or _place_of(key))
        values = {key: value for key, value in raw.items() if key in known}
        wrong = [key for key, value in values.items() if isinstance(value, bool) or not isinstance(value, int)]
        negative = [key for key, value in values.items() if key not in wrong and value < 0]
        for key in wrong:
            self._report(f"limits.{key}", "must be an integer", f"its name says its unit; the default is {_limit(key)}")
        for key in negative:
            self._report(f"limits.{key}", "must not be negative", f"the default is {_limit(key)}")
        try:
            return None if wrong or negative else Limits(**values)
        except OperatorFault as fault:
            self._report("limits", str(fault), fault.hint)
            return None

    def _check_seats(self, document: dict[str, Any]) -> None:
        cell, replicas = document.get("cell", {}), document.get("replica", [])
        f = cell.get("f", 1) if isinstance(cell, dict) else None
        if type(f) is not int or f < 1 or not isinstance(replicas, list):
            return
        if len(replicas) != seats_for(f):
            hint = f"f = {f} needs 2f+1 = {seats_for(f)} [[replica]] sections"
            self._report("replica", f"there must be exactly {seats_for(f)} replicas, not {len(replicas)}", hint)

    def _check_variants(self, document: dict[str, Any]) -> None:
        known = _names(document, "variant")
        if "variant" not in document:
            self._report("variant", "there is none", "add a [[variant]] section with name and program")
        replicas = document.get("replica")
        for place, entry in enumerate(replicas if isinstance(replicas, list) else [], 1):
            wanted = entry.get("variants") if isinstance(entry, dict) else None
            names = [name for name in wanted if isinstance(name, str)] if isinstance(wanted, list) else []
            for name in names:
                if name not in known:
                    hint = _suggest(name, known) or f"the variants are: {', '.join(dict.fromkeys(known)) or 'none'}"
                    self._report(f"replica[{place}].variants", f"there is no variant {name!r}", hint)
            if len(set(names)) < len(names):
                self._report(f"replica[{place}].variants", "a variant is named twice", "name each once")


def _names(document: dict[str, Any], section: str) -> list[str]:
    raw = document.get(section, [])
    entries = [entry for entry in raw if isinstance(entry, dict)] if isinstance(raw, list) else []
    return [entry["name"] for entry in entries if isinstance(entry.get("name"), str)]


def _limit(key: str) -> int:
    value = getattr(Limits(), key)
    assert isinstance(value, int)
    return value


def _explain(detail: ErrorDetails, section: str) -> tuple[str, str]:
    """Say one of pydantic's findings in our words: message and hint."""
    context = detail.get("ctx", {})
    match detail["type"]:
        case "refused":
            return str(context["message"]), str(context["hint"])
        case "missing":
            return "is missing", "this key has no default"
        case "unexpected_keyword_argument":
            key = str(detail["loc"][-1])
            return "unknown key", _suggest(key, keys_of(section)) or _place_of(key)
        case "literal_error":
            choices = str(context["expected"]).replace("'", '"')
            return f"must be {choices}, not {detail['input']!r}", _suggest(
                str(detail["input"]), choices.split('"')[1::2]
            )
        case "dataclass_type":
            return "must be a section of keys", f"write [{section}] and its keys below it"
        case _:
            return explain_value(detail)


def _suggest(word: str, known: tuple[str, ...] | list[str]) -> str:
    close = difflib.get_close_matches(word, known, 1)
    return f"did you mean {close[0]}?" if close else ""


def _place_of(key: str) -> str:
    """A hint for a key that its section does not have: where it belongs, or the section that was meant."""
    homes = [f"[{name}]" for name in TABLES if key in keys_of(name)]
    homes += [f"[[{name}]]" for name in LISTS if key in keys_of(name)]
    return f"{key} belongs to {' or '.join(homes)}" if homes else _suggest(key, [*TABLES, *LISTS])
