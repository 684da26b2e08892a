"""Every bound of the trusted core, by name, unit last. Relations between them are asserted where a set is made.

`_max` is the largest value still accepted. `_ns` are nanoseconds, `_bytes` bytes. A configuration may override any
field by its name in `[limits]`.
"""

from dataclasses import dataclass

from .errors import OperatorFault

KIB = 1024
MIB = 1024 * KIB
SECOND_NS = 1_000_000_000

# What one slot's request may have: the journal has room for it with its keys noted twice.
ORDERED_BYTES_MAX = 16 * MIB
# What the dialect adds to a client's request when it orders it, with what it notes beside keys, is shorter.
ADDED_BYTES_MAX = 256
# The journal has room for that for each request of a transaction.
ADDITIONS_BYTES_MAX = 8 * MIB


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of one cell."""

    # What one client may ask.
    clients_max: int = 12_000
    request_bytes_max: int = 16 * MIB
    request_arguments_max: int = 262_144
    inline_bytes_max: int = 64 * KIB
    client_pending_max: int = 16_384
    client_inbox_bytes_max: int = 64 * KIB
    incomplete_bytes_max: int = 64 * MIB
    clients_output_bytes_max: int = 192 * MIB
    client_output_bytes_max: int = 96 * MIB
    client_stall_ns_max: int = 60 * SECOND_NS

    # What one client may make the coordinator remember.
    transaction_requests_max: int = 16_384
    transaction_bytes_max: int = 16 * MIB
    transactions_bytes_max: int = 64 * MIB
    watched_keys_max: int = 1_024
    watched_total_max: int = 65_536
    watched_bytes_max: int = 16 * MIB
    subscriptions_max: int = 4_096
    subscriptions_total_max: int = 262_144
    subscriptions_bytes_max: int = 16 * MIB
    client_name_bytes_max: int = 1 * KIB
    parked_max: int = 16_384
    parked_keys_max: int = 1_024
    parked_bytes_max: int = 32 * MIB
    cursors_max: int = 1_024
    cursor_bytes_max: int = 16 * MIB
    cursors_bytes_max: int = 48 * MIB
    cursor_idle_ns_max: int = 300 * SECOND_NS

    # What one request may make the coordinator compute.
    scan_page_max: int = 10_000
    pattern_bytes_max: int = 4 * KIB
    match_steps_max: int = 4_000_000
    sample_max: int = 65_536

    # What the cell keeps about time: keys with a deadline, and unsettled deadlines of one key.
    deadlines_max: int = 1_000_000
    deadline_bytes_max: int = 64 * MIB
    deadlines_per_key_max: int = 1_024
    reap_keys_max: int = 1_024

    # What may be under way between the coordinator and its replicas.
    reply_bytes_max: int = 64 * MIB
    unordered_bytes_max: int = 16 * MIB
    inflight_slots_max: int = 65_536
    inflight_bytes_max: int = 64 * MIB
    lag_slots_max: int = 262_144
    lag_bytes_max: int = 64 * MIB
    lag_ns_max: int = 15 * SECOND_NS
    throttle_ns_max: int = SECOND_NS // 2
    silence_ns_max: int = 5 * SECOND_NS
    decision_ns_max: int = 30 * SECOND_NS
    attention_ns_max: int = SECOND_NS // 10

    # What changed since the last checkpoint, and how much of it is read at once.
    changes_bytes_max: int = 64 * MIB
    sweep_keys_max: int = 256
    sweep_bytes: int = 256 * KIB
    closing_keys_max: int = 512
    # How long a checkpoint may be wanted, and how long shadows wait for one, before writers are slowed down for it.
    checkpoint_wait_ns_max: int = 10 * SECOND_NS
    shadow_wait_ns_max: int = 3 * SECOND_NS
    scrub_keys_max: int = 100

    # When a replica that was wrong about reads only is convicted all the same.
    read_dissents_max: int = 3
    step_retries_max: int = 64

    # How long a rebuild that failed waits, at most, before it is tried again.
    rebuild_retry_ns_max: int = 60 * SECOND_NS

    # What the replicas' memory may grow to before growing writes are refused; 0 means no limit.
    memory_bytes_max: int = 0

    def __post_init__(self) -> None:
        """Raise `OperatorFault` when the limits contradict each other."""
        relations = (
            (min(self.positive()) > 0, "every limit but memory_bytes_max is positive"),
            (self.inline_bytes_max <= self.request_bytes_max, "inline_bytes_max <= request_bytes_max"),
            (self.request_bytes_max <= self.inflight_bytes_max, "request_bytes_max <= inflight_bytes_max"),
            (self.reply_bytes_max <= self.lag_bytes_max, "reply_bytes_max <= lag_bytes_max"),
            (self.reply_bytes_max <= self.client_output_bytes_max, "reply_bytes_max <= client_output_bytes_max"),
            (self.transaction_bytes_max <= self.inflight_bytes_max, "transaction_bytes_max <= inflight_bytes_max"),
            (
                self.request_bytes_max <= ORDERED_BYTES_MAX,
                "request_bytes_max <= 16777216 (what the journal has room for)",
            ),
            (
                self.transaction_bytes_max <= ORDERED_BYTES_MAX,
                "transaction_bytes_max <= 16777216 (what the journal has room for)",
            ),
            (
                self.transaction_requests_max * ADDED_BYTES_MAX <= ADDITIONS_BYTES_MAX,
                "transaction_requests_max <= 32768 (what the journal has room for)",
            ),
            (self.cursor_bytes_max <= self.cursors_bytes_max, "cursor_bytes_max <= cursors_bytes_max"),
            (self.client_pending_max <= self.inflight_slots_max, "client_pending_max <= inflight_slots_max"),
            (self.inflight_slots_max <= self.lag_slots_max, "inflight_slots_max <= lag_slots_max"),
            (self.silence_ns_max < self.lag_ns_max, "silence_ns_max < lag_ns_max"),
            (self.attention_ns_max < self.silence_ns_max, "attention_ns_max < silence_ns_max"),
            (self.silence_ns_max < self.decision_ns_max, "silence_ns_max < decision_ns_max"),
        )
        for holds, relation in relations:
            if not holds:
                raise OperatorFault(f"limits contradict each other: {relation} does not hold", "change one of the two")

    def positive(self) -> list[int]:
        """The values of all limits that must be positive."""
        return [getattr(self, name) for name in self.__slots__ if name != "memory_bytes_max"]
