"""Layers that more than one method is made of: attention within windows, graphs over time, pooling over rows.

Shapes: B samples, L rows of each, D width of a row.
"""
