"""`python -m amends`: the command line, where its script is not on the path."""

from amends.cli import main

if __name__ == "__main__":
    main()
