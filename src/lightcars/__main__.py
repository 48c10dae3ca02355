"""`python -m lightcars` is the command `lightcars`."""

from lightcars.cli.start import run

if __name__ == "__main__":
    run()
