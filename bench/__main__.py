"""`make bench`: runs every measurement and keeps what it gives in one JSON file for the machine.

`python -m bench NAME...` runs those that are named, and leaves what the others gave.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import answers, collection, ingestion, limits, lint, reader, vector_search, webhook

RESULTS = Path(__file__).parent / "results"
MEASUREMENTS: dict[str, Callable[[], Any]] = {
    "reader": reader.measure,
    "collection": collection.measure,
    "lint": lint.measure,
    "webhook": lambda: asyncio.run(webhook.measure()),
    "answers": lambda: asyncio.run(answers.measure()),
    "limits": lambda: asyncio.run(limits.measure()),
    "ingestion": ingestion.measure,
    "vector_search": lambda: asyncio.run(vector_search.measure()),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"one of {', '.join(MEASUREMENTS)}; without any, all"
    )
    names = parser.parse_args().names or list(MEASUREMENTS)
    if unknown := set(names) - set(MEASUREMENTS):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(MEASUREMENTS)}")
    path = RESULTS / f"{platform.node()}.json"
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    kept |= {"machine": platform.node(), "cores": os.cpu_count(), "python": platform.python_version()}
    for name in names:
        print(f"measuring {name}", flush=True)
        began, load = datetime.now(UTC).isoformat(timespec="seconds"), round(os.getloadavg()[0], 1)
        # Beside each figure how busy the machine was: only ratios of the same run hold when it was.
        kept[name] = {"measured_at": began, "load_before": load, "figures": MEASUREMENTS[name]()}
        print(json.dumps(kept[name], indent=2), flush=True)
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
