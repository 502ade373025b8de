"""`python -m hetbench` is the command `hetbench`."""

from hetbench.cli import main

if __name__ == "__main__":
    main()
