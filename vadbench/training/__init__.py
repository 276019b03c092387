"""Training: batches, optimisers and the one loop."""
