"""What operators watch: the state of every hop as Prometheus metrics, and why the exchange is not ready."""
