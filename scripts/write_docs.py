"""Writes the generated parts of docs/reference from the code, so that they cannot say anything else. `make docs`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from prometheus_client import Counter
from prometheus_client.metrics import MetricWrapperBase

import chatbot.cli
import chatbot.telemetry
import drills.cli
import responder.cli
import responder.telemetry
from chatbot.core.documents import TRANSITIONS as REVISION
from drills.ports import Ports
from responder.core.incident import TRANSITIONS as INCIDENT
from responder.core.machine import mermaid
from responder.core.remediation import TRANSITIONS as REMEDIATION
from responder.core.timeline import EntryKind

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"
NOTE = "<!-- Written by `make docs`. Change the code, not this file. -->\n\n"

PROGRAMS = {"responder": responder.cli, "chatbot": chatbot.cli, "drill": drills.cli}


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
    """The help of every command, as it is printed in a terminal of 100 columns."""
    os.environ["COLUMNS"] = "100"
    parts = [NOTE + "# Commands\n"]
    for program, module in PROGRAMS.items():
        parts.append(f"## {program}\n")
        for parser in _every_command(module._parser()):
            parts.append(f"```text\n$ {parser.prog} --help\n{parser.format_help().rstrip()}\n```\n")
    return "\n".join(parts)


def _every_command(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parser and those of its subcommands, in their order: a new command cannot be forgotten."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _every_command(command)


def ports() -> str:
    rows = "\n".join(f"| {name} | {port} |" for name, port in Ports().every().items())
    head = "# Ports of the local stack\n\nAll on 127.0.0.1. `--port-base` moves the block.\n"
    return f"{NOTE}{head}\n| what | port |\n|---|---|\n{rows}\n"


def states() -> str:
    """The state machines, drawn from their tables, and the kinds of timeline entries."""
    kinds = "\n".join(f"* `{kind}`" for kind in EntryKind)
    return (
        f"{NOTE}# States\n\n## An incident\n\n```mermaid\n{mermaid(INCIDENT)}\n```\n\n"
        f"## A remedy\n\n```mermaid\n{mermaid(REMEDIATION)}\n```\n\n"
        f"## A revision of a document\n\n```mermaid\n{mermaid(REVISION)}\n```\n\n## Kinds of timeline entries\n\n{kinds}\n"
    )


PAGES = {"metrics.md": metrics, "commands.md": commands, "ports.md": ports, "states.md": states}


def main() -> None:
    for name, write in PAGES.items():
        (REFERENCE / name).write_text(write(), encoding="utf-8")
        print(f"docs/reference/{name}")


if __name__ == "__main__":
    main()
