"""Market data over REST and WebSocket, relayed from the journal."""
