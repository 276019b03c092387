"""Plugins: the hooks that they implement, how they are found, and the origin of their code."""
