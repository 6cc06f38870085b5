"""`python -m salver` is the `salver` command."""

from salver.cli.main import run

if __name__ == "__main__":
    run()
