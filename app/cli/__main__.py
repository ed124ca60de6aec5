"""`python -m app.cli`: the same as `assay`."""

from app.cli import main

if __name__ == "__main__":
    main()
