"""Log files: the end of a file that the policy allows, read without a shell. Knows no rotation and no remote host."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path

from responder.errors import SourceRefused, SourceUnavailable

# Enough for some thousand JSON lines; a larger file is read from its end only.
READ_LIMIT = 2_000_000


class LogFiles:
    """`files` maps the path that a runbook names to the file that may be read for it."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self._files = files

    async def tail(self, path: str, *, pattern: str | None, lines: int) -> list[str]:
        """Of the last `lines` lines those that hold `pattern` (grep's basic form). Raises SourceError."""
        if path not in self._files:
            raise SourceRefused(
                f"{path} is not a log that may be read: add it to [[logs]] in policies/bindings.toml"
            )
        return await asyncio.to_thread(_tail, Path(self._files[path]), pattern, lines)


def _tail(path: Path, pattern: str | None, lines: int) -> list[str]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - READ_LIMIT))
            text = file.read(READ_LIMIT).decode("utf-8", errors="replace")
    except FileNotFoundError:
        return []  # a log that was never written to has no lines
    except OSError as error:
        raise SourceUnavailable(f"{path.name} cannot be read: {error.strerror}") from error
    last = text.splitlines()[-lines:]
    return [line for line in last if pattern is None or _matches(pattern, line)]


def _matches(pattern: str, line: str) -> bool:
    # Plain words, as runbooks use them, need no expression; of expressions only what cannot run away is taken.
    if re.fullmatch(r"[\w\s\":,./=-]+", pattern):
        return pattern in line
    raise SourceRefused(
        f"the pattern '{pattern[:60]}' is more than plain text; this version looks for plain text only"
    )
