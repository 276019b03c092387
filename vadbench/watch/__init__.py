"""Scoring one's own videos: from a file, a folder or a stream to scores, events, pictures and a page."""
