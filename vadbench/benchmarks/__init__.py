"""Benchmarks: grids of runs and the tables drawn from them, each a TOML file."""
