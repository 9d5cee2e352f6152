"""Questions to the results of a run: what happened in which order (patterns), and SQL over its tables."""
