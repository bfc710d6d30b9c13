"""Upload of a folder, again and again: only what has changed. No TensorFlow."""

from __future__ import annotations

from pathlib import Path

from datasets.storage import copy_file, files_below

# One file may be refused; a store that refuses this many does not answer.
_MOST_FAILURES = 3


class ChangedFiles:
    """Uploads the files below a folder of this machine that are new or have changed, by size and time.

    The files that are there at first count as uploaded.

    Args:
      source: the folder.
      target: where the files go.
    """

    def __init__(self, source: Path, target: Path) -> None:
        self._source, self._target = source, target
        self._uploaded = self._states()

    def upload(self) -> None:
        """Upload what has changed since the last upload. A file that fails is tried again by the next upload.

        Raises:
          OSError: the first error. Other files were uploaded, unless three failed.
        """
        errors: list[OSError] = []
        for name, state in self._states().items():
            if self._uploaded.get(name) == state:
                continue
            try:
                copy_file(self._source / name, self._target / name)
                self._uploaded[name] = state
            except OSError as error:
                errors.append(error)
            if len(errors) == _MOST_FAILURES:
                break
        if errors:
            raise errors[0]

    def remove_missing(self) -> None:
        """Remove the files that were uploaded, and are gone from the folder.

        Raises:
          OSError: a file cannot be removed.
        """
        for name in self._uploaded.keys() - self._states().keys():
            (self._target / name).unlink(missing_ok=True)
            del self._uploaded[name]

    def _states(self) -> dict[str, tuple[int, int]]:
        statuses = {file.relative_to(self._source).as_posix(): file.stat() for file in files_below(self._source)}
        return {name: (status.st_size, status.st_mtime_ns) for name, status in statuses.items()}
