"""What a run leaves: its record, its folder and how it is found, the keys that name it; and published numbers."""
