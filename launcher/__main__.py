"""Entry point of `./triplane`."""

from __future__ import annotations

import os

from launcher.cli import main

if __name__ == "__main__":
    os.environ.pop("PYTHONPATH", None)  # it is for this process only: child processes have modules of their own
    main()
