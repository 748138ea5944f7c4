"""datatrove's own environment: what it needs would not go with ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

VERSION = "0.10.0"
FOLDER = Path(__file__).resolve().parents[2] / "var" / "peers" / f"datatrove-{VERSION}"


def peer_python() -> str:
    """The interpreter of datatrove's environment, which is made on first use, with pip, from the package index.

    Raises:
        subprocess.CalledProcessError: It could not be installed.
    """
    python, ready = FOLDER / "bin" / "python", FOLDER / "ready"
    if not ready.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(FOLDER)], check=True)
        needed = f"datatrove[io,processing,multilingual]=={VERSION}"
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", needed], check=True)
        ready.touch()
    return str(python)
