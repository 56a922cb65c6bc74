"""Other revisions of fxcount, for comparisons with what it was."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

__all__ = ["ROOT", "git", "unpacked"]

ROOT = Path(__file__).resolve().parents[1]


def git(*arguments: str) -> bytes:
    """What git says of this repository."""
    return subprocess.run(["git", "-C", str(ROOT), *arguments], check=True, capture_output=True).stdout


def unpacked(revision: str, folder: Path) -> Path:
    """The files of a revision in a folder; the folder."""
    with tarfile.open(fileobj=io.BytesIO(git("archive", "--format=tar", revision))) as tree:
        tree.extractall(folder, filter="data")
    return folder
