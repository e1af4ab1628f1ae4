"""The detectors: each a pure fold over recorded steps with a bounded memory. Formulas: docs/alerts.md."""
