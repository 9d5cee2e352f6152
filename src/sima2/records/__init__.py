"""The nouns, in the order in which data flows through them. Records import nothing of the house but errors."""
