"""The distribution's programs: on the PATH, or unpacked into the stack's folder by the set-up."""

from __future__ import annotations

import shutil
from pathlib import Path

from drills.errors import MissingProgram

# Program → the package that has it.
PACKAGES = {
    "prometheus": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "prometheus-blackbox-exporter": "prometheus-blackbox-exporter",
    "prometheus-postgres-exporter": "prometheus-postgres-exporter",
    "setpriv": "util-linux",
}


def find(name: str, *, unpacked: Path) -> str:
    """The program's path. Raises MissingProgram with the line that installs it."""
    found = shutil.which(name) or shutil.which(name, path=str(unpacked / "usr" / "bin"))
    if found is None:
        package = PACKAGES.get(name, name)
        raise MissingProgram(
            f"'{name}' is not installed. Run: sudo apt-get install --no-install-recommends {package}"
        )
    return found
