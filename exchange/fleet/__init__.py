"""What several processes need beside one: how gateways reach the engines, and which engine leads."""
