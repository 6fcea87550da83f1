"""Writes the generated parts of docs/reference from the code, so that they cannot say anything else. `make docs`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from prometheus_client import Counter
from prometheus_client.metrics import MetricWrapperBase

import chatbot.telemetry
import responder.telemetry
from drills.ports import Ports
from responder.core.incident import TRANSITIONS as INCIDENT
from responder.core.machine import mermaid
from responder.core.remediation import TRANSITIONS as REMEDIATION
from responder.core.timeline import EntryKind

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"
NOTE = "<!-- Written by `make docs`. Change the code, not this file. -->\n\n"

COMMANDS = {
    "responder": ([], ["migrate"], ["serve"], ["work"], ["explain"], ["ack"], ["oncall"]),
    "chatbot": ([], ["migrate"], ["serve"], ["work"], ["tenant", "create"], ["document", "add"]),
    "drill": ([], ["demo"], ["run"], ["up"]),
}
MODULES = {"responder": "responder.cli", "chatbot": "chatbot.cli", "drill": "drills.cli"}


def metrics() -> str:
    """Every metric of both programs, from the objects that count."""
    parts = [NOTE + "# Metrics\n"]
    for title, module in (("The chatbot", chatbot.telemetry), ("The responder", responder.telemetry)):
        rows = "\n".join(_metric_rows(module))
        parts.append(f"## {title}\n\n| metric | labels | what |\n|---|---|---|\n{rows}\n")
    return "\n".join(parts)


def _metric_rows(module: ModuleType) -> Iterator[str]:
    found = [value for value in vars(module).values() if isinstance(value, MetricWrapperBase)]
    for metric in sorted(found, key=lambda metric: metric._name):
        name = f"{metric._name}_total" if isinstance(metric, Counter) else metric._name
        labels = ", ".join(f"`{label}`" for label in metric._labelnames)
        yield f"| `{name}` | {labels} | {metric._documentation} |"


def commands() -> str:
    """The help of every command, as it is printed."""
    parts = [NOTE + "# Commands\n"]
    for program, calls in COMMANDS.items():
        parts.append(f"## {program}\n")
        for call in calls:
            code = f"import sys; sys.argv[0] = {program!r}; from {MODULES[program]} import main; main()"
            argv = [sys.executable, "-c", code, *call, "--help"]
            done = subprocess.run(argv, capture_output=True, text=True, check=True, env={"COLUMNS": "100"})
            parts.append(f"```text\n$ {' '.join([program, *call])} --help\n{done.stdout.rstrip()}\n```\n")
    return "\n".join(parts)


def ports() -> str:
    rows = "\n".join(f"| {name} | {port} |" for name, port in Ports().every().items())
    head = "# Ports of the local stack\n\nAll on 127.0.0.1. `--port-base` moves the block.\n"
    return f"{NOTE}{head}\n| what | port |\n|---|---|\n{rows}\n"


def states() -> str:
    """The state machines, drawn from their tables, and the kinds of timeline entries."""
    kinds = "\n".join(f"* `{kind}`" for kind in EntryKind)
    return (
        f"{NOTE}# States\n\n## An incident\n\n```mermaid\n{mermaid(INCIDENT)}\n```\n\n"
        f"## A remedy\n\n```mermaid\n{mermaid(REMEDIATION)}\n```\n\n## Kinds of timeline entries\n\n{kinds}\n"
    )


PAGES = {"metrics.md": metrics, "commands.md": commands, "ports.md": ports, "states.md": states}


def main() -> None:
    for name, write in PAGES.items():
        (REFERENCE / name).write_text(write(), encoding="utf-8")
        print(f"docs/reference/{name}")


if __name__ == "__main__":
    main()
