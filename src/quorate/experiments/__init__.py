"""Experiments: the demonstration, and benchmarks side by side. They may fail without harm to any cell."""
