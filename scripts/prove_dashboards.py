"""Brings the local stack up and asks every query of every dashboard: each must return data. Part of `make prove`."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import write_dashboards

from drills.ports import Ports

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".stack" / "prove"
BASE = 9840
# The slowest recordings are made every ten minutes, which is twenty seconds here.
PATIENCE = 150.0


def main() -> None:
    queries = {
        (panel["title"], target["expr"])
        for board in write_dashboards.DASHBOARDS.values()
        for panel in board["panels"]
        for target in panel.get("targets", [])
    }
    drill = Path(sys.executable).parent / "drill"
    argv = [drill, "up", "--time-scale", "30", "--port-base", str(BASE), "--stack-dir", FOLDER]
    stack = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.DEVNULL)
    until = time.monotonic() + PATIENCE
    empty = queries
    try:
        while empty and stack.poll() is None and time.monotonic() < until:
            time.sleep(1)
            empty = {(title, query) for title, query in empty if not has_data(query)}
    finally:
        stack.send_signal(signal.SIGINT)
        stack.wait()
    for title, query in sorted(empty):
        print(f"no data: {title}: {query}")
    print(f"{len(queries) - len(empty)} of {len(queries)} queries of the dashboards return data")
    sys.exit(bool(empty))


def has_data(query: str) -> bool:
    address = f"http://127.0.0.1:{Ports(BASE).prometheus}/api/v1/query?" + urllib.parse.urlencode(
        {"query": query}
    )
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:
            return bool(json.load(answer)["data"]["result"])
    except (urllib.error.URLError, ConnectionError):
        return False


if __name__ == "__main__":
    main()
