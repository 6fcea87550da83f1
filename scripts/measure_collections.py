"""How well the reader does on collections of runbooks that others wrote: `measure_collections.py FOLDER…`.

A folder is a collection. Of each: the files; the shares of them that hold an entry and in which an alert is named; of the
fences, those in a section whose role is known, and those that are an action of a step or a remedy; the lines understood.
Nothing of the files is kept.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

from responder.core.runbook import AlertEntry, Runbook
from responder.errors import RunbookError
from responder.runbooks.reader import read_runbook

_MARKDOWN = MarkdownIt("commonmark").enable("table")


@dataclass(slots=True)
class Tally:
    files: int = 0
    refused: int = 0
    named: int = 0
    about_alerts: int = 0
    fences: int = 0
    placed: int = 0
    in_actions: int = 0
    lines: int = 0
    understood: float = 0.0
    seconds: float = 0.0

    def add(self, other: Tally) -> None:
        for field in self.__dataclass_fields__:
            setattr(self, field, getattr(self, field) + getattr(other, field))


def main(folders: list[str]) -> int:
    if not folders:
        print("usage: measure_collections.py FOLDER…", file=sys.stderr)
        return 2
    total = Tally()
    heads = ("with an entry", "alert named", "fences placed", "as actions", "understood")
    print(f"| {'collection':<28} | files | {' | '.join(f'{head:>13}' for head in heads)} | ms a file |")
    print(f"|{'-' * 30}|------:|{'|'.join(['--------------:'] * len(heads))}|----------:|")
    for folder in map(Path, folders):
        tally = _collection(folder)
        total.add(tally)
        print(_row(folder.name, tally))
    print(_row("all", total))
    return 0


def _row(name: str, tally: Tally) -> str:
    read = max(tally.files - tally.refused, 1)
    shares = (
        tally.about_alerts / read,
        tally.named / read,
        tally.placed / max(tally.fences, 1),
        tally.in_actions / max(tally.fences, 1),
        tally.understood / max(tally.lines, 1),
    )
    cells = " | ".join(f"{share:>13.1%}" for share in shares)
    return f"| {name:<28} | {tally.files:>5} | {cells} | {1000 * tally.seconds / read:>9.1f} |"


def _collection(folder: Path) -> Tally:
    tally = Tally()
    for path in sorted(p for p in folder.rglob("*") if p.suffix in {".md", ".markdown"} and p.is_file()):
        tally.files += 1
        began = time.perf_counter()
        try:
            runbook = read_runbook(path)
        except RunbookError as error:
            tally.refused += 1
            print(f"refused: {error}", file=sys.stderr)
            continue
        tally.seconds += time.perf_counter() - began
        _count(tally, runbook)
    return tally


def _count(tally: Tally, runbook: Runbook) -> None:
    unknown = {line for part in runbook.unknown for line in range(part.line, part.end_line + 1)}
    lines = sum(bool(row.strip()) for row in runbook.text.split("\n"))
    tally.about_alerts += bool(runbook.alerts)
    tally.named += any(entry.names for entry in runbook.alerts)
    fences = _fences(runbook.text)
    actions = {line for entry in runbook.alerts for line in _action_lines(entry)}
    tally.fences += len(fences)
    tally.placed += sum(line not in unknown for line in fences)
    tally.in_actions += sum(line + 1 in actions for line in fences)
    tally.lines += lines
    tally.understood += runbook.understood * lines


def _fences(text: str) -> list[int]:
    """The lines on which fences open, by the Markdown parser alone."""
    return [token.map[0] + 1 for token in _MARKDOWN.parse(text) if token.type == "fence" and token.map]


def _action_lines(entry: AlertEntry) -> set[int]:
    actions = [a for step in entry.steps for a in step.actions] + [
        a for g in entry.remediation for a in g.actions
    ]
    return {action.line for action in actions}


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
