"""Building blocks that methods share: layers over time, training samples, scoring in chunks, prompts in CLIP's text
tower.

Shapes: B samples, L rows of each, D width of a row.
"""
