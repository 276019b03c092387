"""Readers of the lists and annotations in which data sets circulate."""
