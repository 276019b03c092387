"""Benchmarks: TOML files that define grids of runs and the tables made from them."""
