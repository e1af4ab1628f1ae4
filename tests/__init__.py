"""All tests: unit, property, integration, e2e, architecture and benchmarks."""
