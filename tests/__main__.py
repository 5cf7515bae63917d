"""`python -m tests [pytest options]`: every test, in parallel, with a browser when one can be had."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

INSTALL = ("apt-get -qq update", "apt-get -qq install --yes --no-install-recommends chromium")
WAIT_S = 300


def main(arguments: list[str]) -> int:
    """Run pytest over all cores; numeric libraries get one thread each, so that workers do not fight."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if not have_browser():
        print("=" * 78 + "\nno Chromium here: the browser tests are SKIPPED (apt-get install chromium)\n" + "=" * 78,
              file=sys.stderr, flush=True)  # fmt: skip
    return pytest.main(["-n", "auto", "--dist", "worksteal", *arguments])


def have_browser() -> bool:
    """Whether Chromium is there, after trying to install it where that takes no password."""
    if shutil.which("chromium"):
        return True
    if os.name != "posix" or os.geteuid() != 0 or not shutil.which("apt-get"):
        return False
    print("installing Chromium for the browser tests ...", file=sys.stderr, flush=True)
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        for command in INSTALL:
            subprocess.run(command.split(), check=True, env=quiet, timeout=WAIT_S,
                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        print(f"Chromium could not be installed: {error}", file=sys.stderr, flush=True)
    return shutil.which("chromium") is not None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
