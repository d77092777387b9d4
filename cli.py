"""`python cli.py ...` in a checkout: the same command line as the installed `simko`."""

from simko.cli import main

if __name__ == "__main__":
    main()
