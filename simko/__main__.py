"""`python -m simko`: the `simko` command where scripts are not on the PATH."""

from simko.cli import main

if __name__ == "__main__":
    main()
