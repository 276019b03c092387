"""What adapters of data sets with official lists share: reading lists and annotations, and finding videos by name."""
