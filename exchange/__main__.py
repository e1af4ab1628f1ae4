"""The `exchange` command: see `exchange.cli`."""

from exchange.cli.main import main

if __name__ == "__main__":
    main()
