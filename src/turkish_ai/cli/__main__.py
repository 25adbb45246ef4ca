"""`python -m turkish_ai.cli`: the same command where the console script is not on the path (make uses it)."""

import sys

from turkish_ai.cli import main

if __name__ == "__main__":
    sys.exit(main())
