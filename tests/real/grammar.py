"""Random requests from the server's own COMMAND DOCS: right in form mostly, sometimes broken on purpose."""

from dataclasses import dataclass, field
from random import Random

from tests.real.reference import Connection, Value, decoded, mapped

KEYS = {
    "string": [b"s1", b"s2", b"s3", b"w_a", b"w_b", b"w_10"],
    "bitmap": [b"s1", b"s2", b"s3"],
    "hash": [b"h1", b"h2", b"h_a"],
    "list": [b"l1", b"l2", b"l3"],
    "set": [b"t1", b"t2", b"t3"],
    "sorted-set": [b"z1", b"z2", b"z3"],
    "geo": [b"g1", b"g2"],
    "stream": [b"x1", b"x2"],
    "hyperloglog": [b"p1", b"p2"],
}
ALL_KEYS = [key for keys in KEYS.values() for key in keys] + [b"none", b""]
VALUES = [b"a", b"b", b"c", b"10", b"-3", b"3.5", b"", b"\x00\xff\r\n", b"m" * 70, b"hello world", b"007", b"7"]
ODD = [b"abc", b"", b"9223372036854775808", b"-9223372036854775809", b"1.5", b"-1", b"0", b"nan", b"\xfe\r\n", b"a b"]

# What strings are by the names of arguments, more exactly than by their types.
BY_NAME = {
    "encoding": [b"u8", b"i16", b"u63", b"i64", b"u1"],
    "id": [b"1-1", b"5-1", b"5-*", b"9", b"0", b"20-1", b"30-*"],
    "last-id": [b"5-1", b"40-0", b"0"],
    "last-delivered-id": [b"5-1", b"1"],
    "threshold": [b"0", b"1", b"3", b"5-0"],
    "min-idle-time": [b"0", b"0", b"10"],
    "group": [b"g", b"g", b"g", b"other"],
    "groupname": [b"g", b"g", b"other"],
    "consumer": [b"c", b"d"],
    "consumername": [b"c", b"d"],
    "pattern": [b"*", b"s*", b"nosort", b"w_*", b"h_*->f", b"#", b"*1", b"[hx]?"],
    "channel": [b"news"],
    "timeout": [b"0.01", b"0.01", b"abc", b"-1"],
    "block_milliseconds": [b"5", b"5", b"-1", b"abc"],
    "index": [b"0", b"1", b"-1", b"2"],
    "index1": [b"0", b"1", b"2"],
    "index2": [b"0", b"1", b"2", b"77"],
    "destination-db": [b"0", b"1", b"99"],
    "db": [b"0", b"1", b"2", b"x"],
    "bit": [b"0", b"1", b"1", b"2"],
    "offset": [b"0", b"1", b"7", b"100", b"#1", b"-1"],
    "operation": [b"AND", b"or", b"XOR", b"NOT"],
    "longitude": [b"13.361389", b"15.087269", b"2.35", b"181"],
    "latitude": [b"38.115556", b"37.502669", b"48.85", b"91"],
    "radius": [b"100", b"500", b"5000"],
    "width": [b"1000", b"1"],
    "height": [b"1000", b"-1"],
    "seconds": [b"100", b"1000", b"0", b"-5", b"9223372036854775807"],
    "milliseconds": [b"100000", b"1000000", b"0", b"-5", b"9223372036854775807"],
    "unix-time-seconds": [b"4102444800", b"1", b"-1", b"0"],
    "unix-time-milliseconds": [b"4102444800000", b"1", b"-1", b"0"],
    "ttl": [b"0", b"100000", b"-1"],
}
# Given once for each key before.
PER_KEY = ("id", "weight")
IN_STREAMS = [b"-", b"+", b"0", b"1-1", b"5-1", b"(5-1", b"20", b"$", b">", b"0-0"]
IN_LEX = [b"-", b"+", b"[a", b"(b", b"[c", b"x"]
IN_SCORES = [b"-inf", b"+inf", b"1", b"(2", b"10", b"x"]
IN_RANKS = [b"0", b"-1", b"1", b"2", b"(1", b"-100"]


@dataclass
class Argument:
    """One argument of a command, as COMMAND DOCS describes it."""

    name: str
    kind: str
    token: bytes = b""
    flags: tuple[str, ...] = ()
    parts: list["Argument"] = field(default_factory=list)


@dataclass
class Usage:
    """How a command is used: its name in one or two words, its group, its arguments."""

    words: list[bytes]
    group: str
    arguments: list[Argument]

    @property
    def name(self) -> str:
        return b"|".join(self.words).decode()


def usages(server: Connection) -> list[Usage]:
    """All commands and subcommands of a server, containers left out."""
    found: list[Usage] = []
    for name, docs in mapped(decoded(server.ask("COMMAND", "DOCS"))).items():
        described = mapped(docs)
        inner = mapped(described[b"subcommands"]) if b"subcommands" in described else {name: docs}
        for full, one in inner.items():
            fields = mapped(one)
            group = described[b"group"]
            assert isinstance(group, bytes)
            found.append(Usage(full.split(b"|"), group.decode(), _arguments(fields.get(b"arguments"))))
    return sorted(found, key=lambda usage: usage.name)


def _arguments(described: Value) -> list[Argument]:
    return [_argument(mapped(one)) for one in described] if isinstance(described, list) else []


def _argument(fields: dict[bytes, Value]) -> Argument:
    name, kind, token, flags = (fields.get(key) for key in (b"name", b"type", b"token", b"flags"))
    assert isinstance(name, bytes)
    assert isinstance(kind, bytes)
    words = [flag.decode() for flag in flags if isinstance(flag, bytes)] if isinstance(flags, list) else []
    text = token if isinstance(token, bytes) else b""
    return Argument(name.decode(), kind.decode(), text, tuple(words), _arguments(fields.get(b"arguments")))


class Grammar:
    """Draws requests."""

    def __init__(self, chance: Random, payloads: list[bytes]) -> None:
        self._chance = chance
        self._payloads = payloads
        self._usage = Usage([], "", [])
        self._numkeys = -1
        self._keys = 1

    def request(self, usage: Usage) -> list[bytes]:
        """A request, one in eight broken."""
        self._usage = usage
        self._numkeys = -1
        words = list(usage.words)
        for argument in usage.arguments:
            self._add(argument, words)
        if self._chance.random() < 0.12:
            self._break(words, len(usage.words))
        # How much ~ leaves depends on how a server packed its nodes; the dialect makes it exact.
        return [b"=" if word == b"~" else word for word in words]

    def _add(self, argument: Argument, words: list[bytes]) -> None:
        chance = self._chance
        if "optional" in argument.flags and chance.random() < 0.6:
            return
        times = chance.randint(1, 3) if "multiple" in argument.flags else 1
        if argument.name in PER_KEY and "multiple" in argument.flags and chance.random() < 0.9:
            times = self._keys
        for index in range(times):
            if argument.token and argument.kind != "pure-token" and (index == 0 or "multiple_token" in argument.flags):
                words.append(self._cased(argument.token))
            self._add_once(argument, words)
        if argument.kind == "key":
            self._keys = times
        if argument.kind == "key" and self._numkeys >= 0:
            words[self._numkeys] = b"%d" % (times if chance.random() < 0.95 else chance.randint(-1, 4))
            self._numkeys = -1

    def _add_once(self, argument: Argument, words: list[bytes]) -> None:
        if argument.kind == "block":
            for part in argument.parts:
                self._add(part, words)
        elif argument.kind == "oneof":
            self._add(self._chance.choice(argument.parts), words)
        elif argument.kind == "pure-token":
            words.append(self._cased(argument.token))
        elif argument.name == "numkeys":
            self._numkeys = len(words)
            words.append(b"1")
        else:
            words.append(self._word(argument))

    def _cased(self, token: bytes) -> bytes:
        return token.lower() if self._chance.random() < 0.3 else token

    def _word(self, argument: Argument) -> bytes:
        chance = self._chance
        pool = self._pool(argument)
        return chance.choice(pool)

    def _pool(self, argument: Argument) -> list[bytes]:
        chance, group, name = self._chance, self._usage.group, argument.name
        if argument.kind == "key":
            return ALL_KEYS if chance.random() < 0.12 else KEYS.get(group, ALL_KEYS)
        if name == "serialized-value":
            return self._payloads
        if self._usage.name == "setbit" and name == "value":
            return BY_NAME["bit"]
        if argument.token == b"BLOCK":
            return BY_NAME["block_milliseconds"]
        if name in ("start", "end", "stop", "min", "max"):
            return self._bounds()
        if name in BY_NAME:
            return BY_NAME[name]
        if argument.kind == "integer":
            return [b"0", b"1", b"2", b"3", b"-1", b"10", b"-2"]
        if argument.kind == "double":
            return [b"1", b"2.5", b"-3", b"1e2", b"inf", b"0", b"0.1"]
        return VALUES

    def _bounds(self) -> list[bytes]:
        if self._usage.group == "stream":
            return IN_STREAMS
        if "lex" in self._usage.name:
            return IN_LEX
        return IN_SCORES if "score" in self._usage.name or self._usage.name == "zcount" else IN_RANKS

    def _break(self, words: list[bytes], first: int) -> None:
        """Leave a word out, say one twice, or put an odd one in its place."""
        chance = self._chance
        if len(words) <= first:
            words.append(chance.choice(ODD))
            return
        index = chance.randrange(first, len(words))
        match chance.randrange(4):
            case 0:
                del words[index]
            case 1:
                words.insert(index, words[index])
            case 2:
                words.append(b"abc")
            case _:
                words[index] = (
                    b"abc"
                    if "timeout" in [argument.name for argument in self._usage.arguments]
                    else (chance.choice(ODD))
                )
