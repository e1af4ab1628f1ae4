"""Market data over REST and WebSocket, relayed from the outbox."""
