"""Score a user's videos: from a file, a folder or a stream to scores, events, plots and a page."""
