"""The `exchange` command: runs the exchange, works on its database, and trades on it over HTTP.

`main` gathers the commands, one module each. Commands that trade speak only the public API, through
`exchange.client`; commands that work on the database open it themselves. What a command produces goes to
standard output, everything else to standard error. Exit codes: `exchange.cli.failures.ExitCode`.
"""
