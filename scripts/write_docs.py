"""Writes the generated parts of docs/reference from the code, so that they cannot say anything else. `make docs`."""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import write_dashboards
import yaml
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


RULES = Path(__file__).parents[1] / "rules"


def alerts() -> str:
    """Every alert and every recording of the rules, from their files."""
    rules = [
        rule
        for file in sorted(RULES.glob("*.rules.yml"))
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
    ]
    fired = "\n".join(
        f"| `{rule['alert']}` | {rule['labels'].get('tier', '')} | {rule['labels']['severity']} |"
        f" {rule['labels'].get('kind', '')} |"
        f" {rule.get('for', '')} | {rule.get('keep_firing_for', '')} | {rule['annotations']['summary']} |"
        for rule in rules
        if "alert" in rule
    )
    recorded = "\n".join(
        f"* `{name}`" for name in sorted({rule["record"] for rule in rules if "record" in rule})
    )
    return (
        f"{NOTE}# Alerts\n\nWhy each has its form: [the eight alerts](../explanation/alerts.md).\n\n"
        f"| alert | tier | severity | kind | waits | goes on | says |\n|---|---|---|---|---|---|---|\n{fired}\n\n"
        f"## Recordings\n\n{recorded}\n"
    )


ROOT = Path(__file__).parents[1]
EXPLANATION = ROOT / "docs" / "explanation" / "alerts.md"
REPLAY = ROOT / "rules" / "replay" / "results" / "replay.json"
BENCH = ROOT / "bench" / "results" / "vm.json"
COST_OF_ANSWERS = REFERENCE / "answers.md"


def with_tables(page: str) -> str:
    """The page with its tables as the kept figures of the replay and of the benchmarks have them."""
    kept = {
        name: json.loads(file.read_text(encoding="utf-8"))
        for name, file in (("replay", REPLAY), ("bench", BENCH))
    }
    tables = (
        ("ladder", "replay", _ladder), ("replay", "replay", _replayed), ("incidents", "replay", _incidents),
        ("answers", "bench", _answers), ("search", "bench", _search),
    )  # fmt: skip
    for name, source, write in tables:
        pattern = rf"(<!-- table: {name} -->\n).*?(?=<!-- /table -->)"
        page = re.sub(
            pattern,
            lambda found, write=write, source=source: found[1] + "\n".join(write(kept[source])) + "\n",
            page,
            flags=re.DOTALL,
        )
    return page


def _ladder(kept: dict[str, Any]) -> Iterator[str]:
    ladder = kept["ladder"]
    yield "| share that fails | as given | ours |"
    yield "|---|---|---|"
    for share, given, ours in zip(ladder["fractions"], ladder["given"], ladder["ours"], strict=True):
        yield f"| {share:.0%} | {_lasting(given)} | {_lasting(ours)} |"


def _replayed(kept: dict[str, Any]) -> Iterator[str]:
    given, ours = kept["replay"]["given"], kept["replay"]["ours"]
    yield "| in 30 days | as given | ours |"
    yield "|---|---|---|"
    yield f"| pages when nothing happens but the usual noise | {kept['quiet']['given']} | {kept['quiet']['ours']} |"
    yield f"| pages with 200 blips and 20 incidents | {given['pages']} | {ours['pages']} |"
    yield f"| of them for nothing | {given['pages_for_nothing']} | {ours['pages_for_nothing']} |"
    yield f"| precision: pages that were needed | {given['precision']:.0%} | {ours['precision']:.0%} |"
    yield f"| told (P0 or P1) for nothing | {given['told_for_nothing']} | {ours['told_for_nothing']} |"
    yield f"| recall: incidents of 2% of the budget or more that were told | {given['recall']:.0%} | {ours['recall']:.0%} |"
    yield f"| recall of all 20 incidents | {given['recall_of_all']:.0%} | {ours['recall_of_all']:.0%} |"


def _incidents(kept: dict[str, Any]) -> Iterator[str]:
    replay = kept["replay"]
    yield "| incident | of the month's budget | as given | ours | by |"
    yield "|---|---|---|---|---|"
    for item, given, ours in zip(
        replay["incidents"], replay["given"]["told_after"], replay["ours"]["told_after"], strict=True
    ):
        yield (
            f"| {item['name']} | {item['cost']:.1%} | {_lasting(given['after'])} | {_lasting(ours['after'])} | {ours['by']} |"
        )


def _answers(kept: dict[str, Any]) -> Iterator[str]:
    figures = kept["answers"]["figures"]
    relay, floor, new = (figures[name] for name in ("relay_alone", "floor_alone", "uncached_alone"))
    yield f"| at a load average of {kept['answers']['load_before']} | the chatbot | floor | relay | wanted |"
    yield "|---|---|---|---|---|"
    for title, what, at, wanted in (
        ("new answer, whole, median", "whole", "p50_ms", "5 ms beyond the relay"),
        ("new answer, whole, 95 of 100", "whole", "p95_ms", "15 ms beyond the relay"),
        ("first token, median", "first_token", "p50_ms", "3 ms beyond the relay"),
    ):
        yield f"| {title} | {new[what][at]:.1f} ms | {floor[what][at]:.1f} ms | {relay[what][at]:.1f} ms | {wanted} |"
    cpu = " | ".join(f"{each['cpu_ms_each']:.1f} ms" for each in (new, floor, relay))
    yield f"| a core's time for it | {cpu} | |"
    for how, said in (("running", "64 streams run"), ("begun_at_once", "64 begin at once")):
        ours, others = (figures[f"{name}_64_{how}_first_token"]["p95_ms"] for name in ("chatbot", "relay"))
        yield f"| first token while {said}, 95 of 100 | {ours:.0f} ms | | {others:.0f} ms | 60 ms beyond the relay |"
    yield f"| cached answer, alone, 95 of 100 | {figures['cached_alone']['p95_ms']:.1f} ms | | | 5 ms |"
    for clients in (32, 128):
        ours, bare = (
            figures[f"{name}_at_{clients}"]["per_cpu_second"] for name in ("cached", "bare_fastapi")
        )
        yield f"| cached answers for a second of a core, {clients} readers | {ours:,} | | bare FastAPI {bare:,} | 1,500 |"
    fallback = figures["fallback_while_open_first_token"]["p95_ms"]
    yield f"| breaker open: first token of the next provider, 95 of 100 | {fallback:.1f} ms | | | 50 ms |"


def _search(kept: dict[str, Any]) -> Iterator[str]:
    figures = kept["vector_search"]["figures"]
    yield f"| passages, in a table of {figures['rows']:,} | recall of 10 | by vector, 95 of 100 | with words | exact, raw |"
    yield "|---|---|---|---|---|"
    for size, found in figures["by_size"].items():
        yield (
            f"| {int(size):,} | {found['recall_at_10']:.2f} | {found['by_vector']['p95_ms']:.1f} ms |"
            f" {found['by_vector_and_words']['p95_ms']:.1f} ms | {found['raw_exact_without_policies']['p95_ms']:.1f} ms |"
        )


def _lasting(seconds: int | None) -> str:
    if seconds is None:
        return "never"
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


PAGES = {
    "metrics.md": metrics,
    "commands.md": commands,
    "ports.md": ports,
    "states.md": states,
    "alerts.md": alerts,
}


def main() -> None:
    for page in (EXPLANATION, COST_OF_ANSWERS):
        page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")
    write_dashboards.main()
    for name, write in PAGES.items():
        (REFERENCE / name).write_text(write(), encoding="utf-8")
        print(f"docs/reference/{name}")


if __name__ == "__main__":
    main()
