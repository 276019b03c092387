"""The harness: from names and options to a trained method, its scores and the record of a run."""
