"""A disk of a few megabytes, to be filled."""

import contextlib
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Self

import pytest

_CHUNK = bytes(4096)


class SmallDisk:
    """A file system in memory, mounted at `path` while this is entered; that takes root, and without it the test is skipped."""

    def __init__(self, megabytes: int, owner: str | None = None) -> None:
        self._megabytes = megabytes
        self._owner = owner

    def __enter__(self) -> Self:
        self._top = Path(tempfile.mkdtemp(prefix="realtime-disk-"))
        self._top.chmod(0o755)
        self.path = self._top / "disk"
        self.path.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={self._megabytes}m", "tmpfs", str(self.path)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            shutil.rmtree(self._top)
            pytest.skip("mounting a small disk takes root's rights")
        if self._owner:
            shutil.chown(self.path, self._owner)
        return self

    def __exit__(self, *_: object) -> None:
        # Lazily: whoever still has files open there is being stopped as well.
        subprocess.run(["umount", "--lazy", str(self.path)], check=True)
        shutil.rmtree(self._top)

    def fill(self) -> None:
        """Leave no room at all."""
        with contextlib.suppress(OSError), (self.path / "filler").open("ab", buffering=0) as filler:
            while filler.write(_CHUNK):
                pass

    def free(self) -> None:
        """Give the room back."""
        (self.path / "filler").unlink()
