"""From a trade to escrow, to a lease, to money released hour by hour."""
