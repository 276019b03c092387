"""Videos and their ground truth: decoding, lengths, and the readers of lists in circulation."""
