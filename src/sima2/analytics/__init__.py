"""Analytics: what episodes cost, and which tags predict it."""
