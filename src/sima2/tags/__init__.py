"""What an episode means beyond its segments: risk, fragility, strangeness, recovery, luck. One file a tag family."""
