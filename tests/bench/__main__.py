"""The one door to all measurements: `python -m tests.bench NAME [options]`.

A bench is a module of this package with HELP (one line), `arguments(parser)` and `run(options)`,
which prints a readable table and returns the figures; they become the last line as one JSON object.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import sys
from typing import Any

import tests.bench


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    benches = parser.add_subparsers(dest="bench", required=True, metavar="NAME")
    modules = {}
    for found in sorted(pkgutil.iter_modules(tests.bench.__path__), key=lambda found: found.name):
        module: Any = importlib.import_module(f"tests.bench.{found.name}") if found.name[0] != "_" else None
        if hasattr(module, "HELP"):
            name = found.name.replace("_", "-")
            modules[name] = module
            module.arguments(benches.add_parser(name, help=module.HELP, description=module.__doc__))
    options = parser.parse_args(argv)
    figures: dict[str, Any] = modules[options.bench].run(options)
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
