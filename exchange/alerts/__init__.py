"""Market surveillance: what the committed record shows of abuse, by rules that are data, and its cases."""
