"""Scoring of a user's own videos: files, folders and streams become scores, events, pictures and a page."""
