"""Plugins: the hooks that they implement, how they are found and whose code they are."""
