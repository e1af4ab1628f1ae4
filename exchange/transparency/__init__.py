"""Tamper evidence of the record: a Merkle tree over it, signed checkpoints, verification, and proofs."""
