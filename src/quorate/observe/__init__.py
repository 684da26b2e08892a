"""What a cell shows of itself: snapshots, metrics, evidence, log, register. It may crash without harm to any vote."""
