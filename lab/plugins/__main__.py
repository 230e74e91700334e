"""A plugin's process: `python -I lab/plugins/__main__.py NAME [ENGINE_ADDRESS]`."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path


def main(arguments: list[str]) -> None:
    """Serve the named plugin."""
    root = Path(__file__).resolve().parents[2]
    sys.path.insert(0, str(root))

    from lab.plugins import PLUGINS
    from lab.plugins.protocol import import_lightly

    name, engine = arguments[0], arguments[1] if len(arguments) > 1 else None
    if name not in PLUGINS:
        sys.exit(f"no plugin {name!r}; there are {', '.join(PLUGINS)}")
    import_lightly()
    from lab.plugins.server import run

    run(import_module(f"lab.plugins.{name}").plugin(), engine)


if __name__ == "__main__":
    main(sys.argv[1:])
