"""`python -m lightcars` is the command `lightcars`."""

from lightcars.cli.main import run

if __name__ == "__main__":
    run()
