"""Providers, buyers, issuers, regulators and operators; their API keys, scopes and trade groups."""
