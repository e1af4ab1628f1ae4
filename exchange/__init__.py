"""The exchange: everything that touches the world. The decisions are made in the package matching."""
