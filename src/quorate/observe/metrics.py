"""Metrics: a cell's snapshot in Prometheus's text format, and the small HTTP server that hands it out.

The server reads one short request a connection, answers it and closes. Connections, bytes and time are bounded, and
the text is made at most a few times a second, however often it is asked for. Knows no cell: it is given two functions.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from ..trusted.errors import OperatorFault, invariant
from ..trusted.messages import Role
from .snapshot import SERVING, CellSnapshot, ReplicaSnapshot

HEADER_BYTES_MAX = 8_192
CONNECTIONS_MAX = 16
CONNECTION_SECONDS_MAX = 5.0
TEXT_SECONDS_MAX = 0.25

VOTING = Role.VOTING.value
# Only a shadow has to catch up; one that votes is none any more.
ROLES = [role.value for role in Role if role is not Role.CATCHING_UP]
SHADOW_ROLES = [
    Role.BOOTING.value,
    Role.RESTORING.value,
    Role.CATCHING_UP.value,
    Role.VERIFIED.value,
    Role.RETIRING.value,
]
Family = type[CounterMetricFamily] | type[GaugeMetricFamily]


@dataclass(frozen=True, slots=True)
class Latencies:
    """How long requests took, from their last byte in to the agreed reply's release.

    `bounds_seconds` are the buckets' inclusive upper bounds, ascending; `counts` has one number a bucket, not
    cumulative, and one more for what took longer than the last bound.
    """

    bounds_seconds: tuple[float, ...]
    counts: tuple[int, ...]
    sum_seconds: float

    def __post_init__(self) -> None:
        """One count a bucket, and one for the rest."""
        invariant(len(self.counts) == len(self.bounds_seconds) + 1, "a histogram has one count more than bounds")

    def cumulative(self) -> list[tuple[str, float]]:
        """The buckets as Prometheus wants them: each with the count of everything up to its bound."""
        total, buckets = 0, []
        for bound, count in zip((*map(str, self.bounds_seconds), "+Inf"), self.counts, strict=True):
            total += count
            buckets.append((bound, float(total)))
        return buckets


class CellCollector(Collector):
    """Turns a snapshot and latencies into metric families, afresh at every collection."""

    def __init__(self, snapshot: Callable[[], CellSnapshot], latencies: Callable[[], Latencies]) -> None:
        self._snapshot = snapshot
        self._latencies = latencies

    def collect(self) -> Iterator[Metric]:
        """All families, in the order of the documentation."""
        snapshot, latencies = self._snapshot(), self._latencies()
        yield from _cell_families(snapshot)
        yield HistogramMetricFamily(
            "quorate_request_duration_seconds",
            "From a request's last byte to the release of its agreed reply.",
            buckets=latencies.cumulative(),
            sum_value=latencies.sum_seconds,
        )
        yield from _replica_families(snapshot.replicas)


def _cell_families(snapshot: CellSnapshot) -> Iterator[Metric]:
    yield CounterMetricFamily("quorate_requests_total", "Requests that clients sent.", value=snapshot.requests)
    ballots = CounterMetricFamily("quorate_ballots_total", "Slots closed, by outcome.", labels=["outcome"])
    outcomes = {"agreed": snapshot.agreed, "split": snapshot.split, "unanswered": snapshot.unanswered}
    for outcome, count in outcomes.items():
        ballots.add_metric([outcome], count)
    yield ballots
    yield GaugeMetricFamily("quorate_slot", "The newest slot that was ordered.", value=snapshot.slot)
    yield GaugeMetricFamily("quorate_clients", "Connected clients.", value=snapshot.clients)
    yield GaugeMetricFamily(
        "quorate_serving", "1 while the cell decides requests, 0 otherwise.", value=float(snapshot.state == SERVING)
    )
    yield GaugeMetricFamily("quorate_seats_empty", "Seats without a voting replica.", value=snapshot.seats_empty)
    yield GaugeMetricFamily("quorate_uptime_seconds", "Since the cell started.", value=snapshot.uptime_seconds)
    yield CounterMetricFamily(
        "quorate_evidence_dropped_total", "Records of evidence that could not be kept.", value=snapshot.evidence_dropped
    )
    yield from _recovery_families(snapshot)


def _recovery_families(snapshot: CellSnapshot) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "quorate_exposure_seconds", "The age of the oldest replica that votes.", value=snapshot.exposure_seconds
    )
    checkpoint, journal = snapshot.checkpoint, snapshot.journal
    yield GaugeMetricFamily("quorate_checkpoint_slot", "The newest stable checkpoint's slot.", value=checkpoint.slot)
    age = GaugeMetricFamily("quorate_checkpoint_age_seconds", "How long ago that checkpoint was made.")
    if checkpoint.age_seconds is not None:
        age.add_metric([], checkpoint.age_seconds)
    yield age
    yield GaugeMetricFamily(
        "quorate_state_kept",
        "1 while state is kept, so that replicas can be rebuilt.",
        value=float(not checkpoint.fault),
    )
    yield GaugeMetricFamily(
        "quorate_checkpoint_blocked",
        "1 while a key cannot be read, so that there are no checkpoints.",
        value=float(bool(checkpoint.unreadable)),
    )
    yield GaugeMetricFamily(
        "quorate_unreadable_keys", "Keys for which there are no checkpoints.", value=checkpoint.unreadable_keys
    )
    yield CounterMetricFamily("quorate_revivals_total", "How often all replicas began anew.", value=snapshot.revivals)
    yield GaugeMetricFamily(
        "quorate_tombstones", "Ranges of slots that nobody executes again.", value=snapshot.tombstones
    )
    yield GaugeMetricFamily(
        "quorate_journal_synced_slot",
        "The slot of the newest write on disk; only writes count.",
        value=journal.synced_slot,
    )
    yield GaugeMetricFamily(
        "quorate_journal_kept", "1 while the journal can be written.", value=float(not journal.fault)
    )
    yield GaugeMetricFamily(
        "quorate_journal_full", "1 while writes are refused because the disk has no room.", value=float(journal.is_full)
    )


def _replica_families(replicas: tuple[ReplicaSnapshot, ...]) -> Iterator[Metric]:
    for family, name, text, value in _BY_REPLICA:
        metric = family(f"quorate_{name}", text, labels=["replica"])
        for replica in replicas:
            found = value(replica)
            if found is not None:
                metric.add_metric([replica.name], float(found))
        yield metric
    roles = GaugeMetricFamily("quorate_replica_role", "1 for where the replica stands.", labels=["replica", "role"])
    shadows = GaugeMetricFamily("quorate_shadow_role", "1 for where its shadow stands.", labels=["replica", "role"])
    for replica in replicas:
        for role in ROLES:
            roles.add_metric([replica.name, role], float(replica.role == role))
        for role in SHADOW_ROLES:
            shadows.add_metric([replica.name, role], float(replica.shadow is not None and replica.shadow.role == role))
    yield roles
    yield shadows


_BY_REPLICA: tuple[tuple[Family, str, str, Callable[[ReplicaSnapshot], float | None]], ...] = (
    (CounterMetricFamily, "dissents_total", "Replies that differed from the agreed one.", lambda r: r.dissents),
    (GaugeMetricFamily, "backlog_slots", "Slots decided but not answered yet.", lambda r: r.backlog),
    (GaugeMetricFamily, "replica_up", "1 while the replica votes, 0 otherwise.", lambda r: r.role == VOTING),
    (GaugeMetricFamily, "replica_slot", "The last slot that the replica answered.", lambda r: r.slot),
    (GaugeMetricFamily, "replica_resident_bytes", "The replica's resident memory.", lambda r: r.resident_bytes),
    (CounterMetricFamily, "replica_cpu_seconds_total", "CPU time used by the replica.", lambda r: r.cpu_seconds),
    (CounterMetricFamily, "convictions_total", "How often the replica was convicted.", lambda r: r.convictions),
    (CounterMetricFamily, "rebuilds_total", "How often the replica was rebuilt.", lambda r: r.rebuilds),
    (CounterMetricFamily, "rebuilds_failed_total", "How often that came to nothing.", lambda r: r.rebuilds_failed),
    (GaugeMetricFamily, "restart_postponed", "1 while a due restart must wait.", lambda r: bool(r.postponed)),
    (GaugeMetricFamily, "replica_age_seconds", "How long ago the replica was begun.", lambda r: r.age_seconds),
    (GaugeMetricFamily, "last_rebuild_seconds", "How long ago it was last rebuilt.", lambda r: r.last_rebuild_seconds),
    (GaugeMetricFamily, "last_recovery_seconds", "From losing its vote to voting.", lambda r: r.last_recovery_seconds),
    (
        GaugeMetricFamily,
        "shadow_share",
        "How much is done where its shadow stands.",
        lambda r: None if r.shadow is None else r.shadow.share,
    ),
    (GaugeMetricFamily, "replicas_retiring", "Replaced ones whose domains have not ended.", lambda r: r.retiring),
)


class MetricsServer:
    """Serves `/metrics` on `host`:`port` over HTTP; port 0 lets the kernel choose."""

    def __init__(
        self, host: str, port: int, snapshot: Callable[[], CellSnapshot], latencies: Callable[[], Latencies]
    ) -> None:
        self._host = host
        self._port = port
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(CellCollector(snapshot, latencies))
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._text = b""
        self._made = float("-inf")

    @property
    def port(self) -> int:
        """The port that is listened on; only while started."""
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        assert isinstance(port, int)
        return port

    async def start(self) -> None:
        """Listen. Raises `OperatorFault` when the address cannot be had."""
        try:
            self._server = await asyncio.start_server(self._serve, self._host, self._port, limit=HEADER_BYTES_MAX)
        except OSError as error:
            place = f"{self._host}:{self._port}"
            raise OperatorFault(
                f"cannot serve metrics on {place}: {error.strerror or error}", "set metrics.listen to a free address"
            ) from None

    async def stop(self) -> None:
        """Stop listening and end every connection."""
        if self._server is None:
            return
        self._server.close()
        for task in tuple(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._connections) >= CONNECTIONS_MAX:
            writer.close()
            return
        self._connections.add(task)
        try:
            async with asyncio.timeout(CONNECTION_SECONDS_MAX):
                writer.write(await self._response(reader))
                await writer.drain()
                # Leave the reading of the last bytes to the client, but not for ever.
                writer.write_eof()
                await reader.read(HEADER_BYTES_MAX)
        except (TimeoutError, OSError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            with suppress(OSError):
                writer.transport.abort()

    async def _response(self, reader: asyncio.StreamReader) -> bytes:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return _http("431 Request Header Fields Too Large")
        except asyncio.IncompleteReadError:
            return b""
        method, _, rest = head.partition(b"\r\n")[0].partition(b" ")
        target = rest.partition(b" ")[0].partition(b"?")[0]
        if method not in (b"GET", b"HEAD"):
            return _http("405 Method Not Allowed")
        if target != b"/metrics":
            return _http("404 Not Found", b"metrics are at /metrics\n")
        return _http("200 OK", self._exposition(), CONTENT_TYPE_LATEST, is_head=method == b"HEAD")

    def _exposition(self) -> bytes:
        now = time.monotonic()
        if now - self._made > TEXT_SECONDS_MAX:
            self._text = generate_latest(self._registry)
            self._made = now
        return self._text


def _http(status: str, body: bytes = b"", kind: str = "text/plain; charset=utf-8", is_head: bool = False) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode("ascii") + (b"" if is_head else body)
