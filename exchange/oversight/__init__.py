"""What a regulator sees: trade history, audit trail, alerts."""
