"""Records to words and pictures: the offline page and the terminal's summary."""
