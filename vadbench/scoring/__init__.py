"""Scoring: running a method over videos and laying its scores beside the ground truth."""
