"""Sampling: what to train on, weighted by tags that have earned trust, and what to look at before that."""
