"""The Python interface: what a notebook calls. Everything here is reached as ``vadbench.<name>``."""
