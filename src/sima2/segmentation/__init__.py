"""From raw signals to labelled segments: features → states → runs → labels → outcomes → confidence."""
