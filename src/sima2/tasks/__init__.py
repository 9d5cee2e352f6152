"""The task library and the synthetic generator: rollouts in known proportions, with the truth they were made from."""
