"""Entry point of `./triplane`."""

from __future__ import annotations

import os

from launcher.cli import main

if __name__ == "__main__":
    os.environ.pop("PYTHONPATH", None)  # it was for this process alone: what runs below it has modules of its own
    main()
