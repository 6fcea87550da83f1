"""`make bench`: runs every measurement and writes one JSON file for the machine."""

from __future__ import annotations

import asyncio
import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path

from bench import answers, collection, ingestion, limits, lint, reader, vector_search, webhook

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    found = {
        "reader": reader.measure(),
        "collection": collection.measure(),
        "lint": lint.measure(),
        "webhook": asyncio.run(webhook.measure()),
        "answers": asyncio.run(answers.measure()),
        "limits": asyncio.run(limits.measure()),
        "ingestion": ingestion.measure(),
        "vector_search": asyncio.run(vector_search.measure()),
    }
    body = {
        "machine": platform.node(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        **found,
    }
    path = RESULTS / f"{platform.node()}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(body, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(body, indent=2))
    print(f"\nkept in {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path.name}")


if __name__ == "__main__":
    main()
