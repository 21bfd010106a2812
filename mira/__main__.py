"""``python -m mira``: the commands beside the workflow."""

from mira.cli import main

if __name__ == "__main__":
    main()
