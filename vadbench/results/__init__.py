"""Finished runs compared, measured again and checked for submission."""
