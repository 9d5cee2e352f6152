"""Segments as candidate skills, and how an episode seems to have ended."""
