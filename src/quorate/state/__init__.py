"""Where checkpoints, the journal and transfers live on disk and between domains."""
