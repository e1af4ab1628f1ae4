"""Double-entry accounts, transfers and holds in integer fen."""
