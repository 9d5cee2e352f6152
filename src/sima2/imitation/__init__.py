"""A small policy that imitates demonstrations, to measure what a selection of frames is worth."""
