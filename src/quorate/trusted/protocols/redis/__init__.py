"""The Redis protocol: framing, the table of commands, and what each request becomes."""
