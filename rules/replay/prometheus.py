"""The real Prometheus over blocks that promtool made: the alerts' expressions are asked for every moment, nothing is scraped."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

READY_SECONDS = 120.0
# Prometheus gives at most 11,000 points of a series in one answer.
POINTS = 10_000
AT_ONCE = 2


def program(name: str, *, unpacked: Path) -> str:
    """Where the distribution's program is: on the path, or unpacked by `scripts/system-packages`."""
    found = shutil.which(name) or shutil.which(name, path=str(unpacked))
    if found is None:
        raise FileNotFoundError(f"{name} is missing; run: sudo apt-get install prometheus")
    return found


class Blocks:
    """A folder of blocks. `bin_` is where unpacked programs are."""

    def __init__(self, folder: Path, bin_: Path) -> None:
        self.folder = folder
        self._promtool = program("promtool", unpacked=bin_)
        self._prometheus = program("prometheus", unpacked=bin_)

    def fill(self, files: Sequence[Path]) -> None:
        """Makes blocks of OpenMetrics text."""

        def one(file: Path) -> None:
            self._run("tsdb", "create-blocks-from", "openmetrics", "--quiet", str(file), str(self.folder))

        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(one, files))

    def _run(self, *arguments: str) -> None:
        done = subprocess.run([self._promtool, *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"promtool {' '.join(arguments)}: {done.stdout[-500:]}{done.stderr[-1500:]}")

    @contextmanager
    def running(self) -> Generator[str]:
        """A Prometheus over the blocks; gives its address."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{probe.getsockname()[1]}"
        config = self.folder.parent / "prometheus.yml"
        config.write_text("{}\n")
        options = {
            "config.file": config,
            "storage.tsdb.path": self.folder,
            "storage.tsdb.retention.time": "100y",
            "storage.tsdb.min-block-duration": "2h",
            "storage.tsdb.max-block-duration": "2h",
            "query.max-samples": 500_000_000,
            "query.timeout": "10m",
            "web.listen-address": address,
            "log.level": "error",
        }
        process = subprocess.Popen(
            [self._prometheus, *(f"--{name}={value}" for name, value in options.items())],
            stdout=subprocess.DEVNULL,
        )
        try:
            _wait_until_ready(f"http://{address}")
            yield f"http://{address}"
        finally:
            process.terminate()
            process.wait()


def _wait_until_ready(url: str) -> None:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"{url}/-/ready", timeout=2):  # noqa: S310 - our own Prometheus
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.2)
    raise TimeoutError(f"Prometheus was not ready within {READY_SECONDS:.0f} s")


def ask_range(url: str, expr: str, *, start: int, end: int, step: int) -> dict[str, list[int]]:
    """For each label set (as JSON) of `expr`, the moments at which it has a value."""
    moments: dict[str, list[int]] = {}

    def one(begin: int) -> list[dict[str, Any]]:
        stop = min(begin + (POINTS - 1) * step, end)
        body = urllib.parse.urlencode({"query": expr, "start": begin, "end": stop, "step": step}).encode()
        with urllib.request.urlopen(f"{url}/api/v1/query_range", body, timeout=600) as answer:  # noqa: S310
            return json.load(answer)["data"]["result"]

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for result in pool.map(one, range(start, end, POINTS * step)):
            for series in result:
                labels = json.dumps(series["metric"], sort_keys=True)
                moments.setdefault(labels, []).extend(int(at) for at, _ in series["values"])
    return moments


def rules_of(path: Path) -> list[dict[str, Any]]:
    """Every rule of a file, with its group's interval in seconds (None: the global one)."""
    found: list[dict[str, Any]] = []
    for group in yaml.safe_load(path.read_text())["groups"]:
        interval = group.get("interval")
        found += [{**rule, "interval": seconds(interval) if interval else None} for rule in group["rules"]]
    return found


def seconds(duration: str | None) -> int:
    """`5m` in seconds; 0 for none."""
    if not duration:
        return 0
    return int(duration[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[duration[-1]]


def whole(rules: Sequence[dict[str, Any]], expr: str, *, step: int) -> str:
    """`expr` with every recording written out: what it would have recorded is asked in its place.

    promtool can fill recordings in as well, but makes a block of each for every two hours: ten thousand for a month.
    """
    written = {rule["record"]: rule["expr"] for rule in rules if "record" in rule}
    if not written:
        return expr
    longest_first = sorted(map(re.escape, written), key=len, reverse=True)
    names = re.compile(rf"(?:{'|'.join(longest_first)})(?![\w:])")
    ranged = re.compile(rf"({names.pattern})\[(\w+)\]")
    while names.search(expr):
        expr = ranged.sub(lambda found: f"({written[found[1]]})[{found[2]}:{step}s]", expr)
        expr = names.sub(lambda found: f"({written[found[0]]})", expr)
    return expr
