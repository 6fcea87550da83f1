"""PostgreSQL refuses to run as root. Where we are root, it runs as `nobody`, with files that nobody can reach."""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import threading
from pathlib import Path

USER = "nobody"

# Two clusters are prepared side by side; the programs are copied once, whole.
_copying = threading.Lock()


def is_root() -> bool:
    return os.geteuid() == 0


def command(argv: list[str]) -> list[str]:
    """The command as the unprivileged user; it dies with its parent, since setting a user clears that wish."""
    if not is_root():
        return argv
    group = str(pwd.getpwnam(USER).pw_gid)
    return ["setpriv", f"--reuid={USER}", f"--regid={group}", "--clear-groups", "--pdeathsig=KILL", *argv]


def give(path: Path) -> None:
    """Hands a file or folder, and all below it, to the unprivileged user."""
    if not is_root():
        return
    entry = pwd.getpwnam(USER)
    for item in [path, *path.rglob("*")]:
        os.chown(item, entry.pw_uid, entry.pw_gid, follow_symlinks=False)


def reachable(path: Path) -> bool:
    """Whether the unprivileged user can come to `path` through every folder above it."""
    if not is_root():
        return True
    above = [path.resolve(), *path.resolve().parents]
    return all(folder.stat().st_mode & 0o001 for folder in above if folder.is_dir())


def folder_for(wanted: Path) -> Path:
    """`wanted`, or a folder that the unprivileged user can reach, remembered in `wanted`/elsewhere for the clean-up."""
    wanted.mkdir(parents=True, exist_ok=True)
    if reachable(wanted):
        return wanted
    mark = hashlib.sha256(str(wanted.resolve()).encode()).hexdigest()[:12]
    other = Path("/var/tmp") / f"bitb-stack-{mark}"  # noqa: S108 - made with our own mark, owner checked below
    other.mkdir(mode=0o711, exist_ok=True)
    if other.stat().st_uid != os.geteuid() or other.is_symlink():
        raise PermissionError(f"{other} belongs to somebody else; remove it, then run the same command again")
    (wanted / "elsewhere").write_text(str(other), encoding="utf-8")
    return other


def copy_if_unreachable(tree: Path, siblings: list[Path], into: Path) -> Path:
    """`tree`, or a copy of it and its siblings, in the same layout, that the unprivileged user can reach."""
    if reachable(tree):
        return tree
    with _copying:
        if not into.exists():
            half = into.with_suffix(".half")
            shutil.rmtree(half, ignore_errors=True)
            for source in [*siblings, tree]:
                shutil.copytree(source, half / source.name, symlinks=True)
            half.rename(into)
    return into / tree.name
