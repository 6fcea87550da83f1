"""What something outside gave back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


def fields_of(body: Any) -> dict[str, Any]:
    """The fields of a JSON object; of anything else none."""
    return body if isinstance(body, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def shortened(text: str, limit: int) -> str:
    """On one line, and cut with a mark that says so."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One series of an instant query."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The first rows of a query, each cell as text; `cut` says that there were more."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]
    cut: bool

    def text(self) -> str:
        """As psql shows it: columns under their names."""
        cells = [list(self.columns), *([cell or "" for cell in row] for row in self.rows)]
        widths = [min(60, max(len(row[n]) for row in cells)) for n in range(len(self.columns))]
        lines = [
            " | ".join(c[:w].ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells
        ]
        return "\n".join([*lines, "…"] if self.cut else lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP answer. `body` is the parsed JSON, or None; `text` at most the limit of the caller."""

    status: int
    text: str
    body: Any
    seconds: float
