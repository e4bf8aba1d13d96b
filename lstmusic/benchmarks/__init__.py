"""Benchmark tables: one module each, with a `run` that returns plain rows. Peers come with the extra `bench`."""
