"""`exchange demo`: a whole exchange with a live market, on one machine, in a minute.

Everybody in it, simulated or not, goes through the public HTTP API with a real key; only the first operator's
key and the status line come from inside.
"""
