"""Results of runs: records, run folders and how they are found, the keys that name them; and published numbers."""
