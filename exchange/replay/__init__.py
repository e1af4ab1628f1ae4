"""Replays recorded demand and supply as real orders: real quantities and times, prices joined by rule."""
