"""Pictures of recorded episodes: what their files hold, what is wrong with them, and small ones of what matters."""
