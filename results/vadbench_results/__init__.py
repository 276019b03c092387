"""Figures measured with vadbench and kept with it; read them with ``importlib.resources.files("vadbench_results")``."""
