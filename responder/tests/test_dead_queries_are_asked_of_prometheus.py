"""Queries for what Prometheus never had: asked of a real one, which scrapes a small target of our own."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from proof import one_rule, query

METRICS = b"""# TYPE http_requests_total counter
http_requests_total{route="/api/chat",status="200"} 5
# TYPE rag_query_duration_seconds histogram
rag_query_duration_seconds_bucket{le="1"} 1
rag_query_duration_seconds_bucket{le="5"} 2
rag_query_duration_seconds_bucket{le="+Inf"} 3
rag_query_duration_seconds_sum 60
rag_query_duration_seconds_count 3
"""


class Target(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(METRICS)

    def log_message(self, *_: object) -> None:
        """Quiet."""


def free_port() -> int:
    with closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def target() -> Generator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Target) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """The address of a Prometheus that has scraped the target."""
    folder = tmp_path_factory.mktemp("prometheus")
    url = f"http://127.0.0.1:{free_port()}"
    with target() as port:
        scrape = {
            "job_name": "chat",
            "scrape_interval": "1s",
            "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
        }
        (folder / "prometheus.yml").write_text(json.dumps({"scrape_configs": [scrape]}))
        with subprocess.Popen(
            [
                _program(), f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address={url.removeprefix('http://')}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:  # fmt: skip
            try:
                _wait_until_scraped(url)
                yield url
            finally:
                process.terminate()
                process.wait(timeout=30)


def _program() -> str:
    unpacked = Path(__file__).parents[2] / ".stack" / "system" / "usr" / "bin"
    found = shutil.which("prometheus") or shutil.which("prometheus", path=str(unpacked))
    assert found, "prometheus is missing; run: sudo apt-get install prometheus"
    return found


def _wait_until_scraped(url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            asked = f"{url}/api/v1/query?query=http_requests_total"
            with urllib.request.urlopen(asked, timeout=5) as answer:  # noqa: S310 - our own
                if json.load(answer)["data"]["result"]:
                    return
        except OSError:
            pass  # it is not listening yet
        time.sleep(0.1)
    raise AssertionError("Prometheus did not scrape the target within 60 s")


def check(folder: Path, runbook: str, rules: str, url: str) -> tuple[int, dict[str, Any]]:
    (folder / "runbook.md").write_text(runbook)
    (folder / "rules.yml").write_text("groups:\n- name: g\n  rules:\n" + rules)
    done = subprocess.run(
        [
            sys.executable, "-c", "from responder.cli import main; main()", "check", "runbook.md",
            "--rules", "rules.yml", "--prometheus", url, "--format", "json",
        ],
        cwd=folder, capture_output=True, text=True, check=False, env=os.environ, timeout=60,
    )  # fmt: skip
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


P95 = "histogram_quantile(0.95, sum by (le) (rate(rag_query_duration_seconds_bucket[5m])))"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sum(rate(http_requests_total[5m]))", None),
        ('sum(rate(http_requests_total{status="500"}[5m]))', None),
        ('sum(rate(http_requests_total{status=~"5..",job="chat"}[5m]))', None),
        ("sum(rate(http_request_total[5m]))", "query/dead-metric"),
        ('sum(rate(http_requests_total{code="500"}[5m]))', "query/dead-label"),
        ('sum(rate(http_requests_total{code=""}[5m]))', None),
        ("absent(http_request_total)", None),
        ('{__name__="http_request_total"}', "query/dead-metric"),
        ('sum(rate({"http_requests_total"}[5m]))', None),
    ],
)
def test_what_prometheus_never_had_is_a_finding_at_its_line(
    prometheus: str, tmp_path: Path, text: str, expected: str | None
) -> None:
    """A name or a label that was never there; a value that has not come yet is no fault."""
    _, body = check(tmp_path, query("promql", text), one_rule("up == 0"), prometheus)
    found = [(f["rule"], f["file"], f["line"]) for f in body["findings"] if f["rule"].startswith("query/")]
    assert found == ([(expected, "runbook.md", 10)] if expected else [])


def test_a_rule_is_asked_about_as_well_and_its_recordings_written_out(
    prometheus: str, tmp_path: Path
) -> None:
    """What a recording rule gives is not yet there; what it reads is what counts."""
    recorded = "  - record: job:requests:rate5m\n    expr: sum(rate(http_requests_total[5m]))\n"
    dead = "  - record: job:dead:rate5m\n    expr: sum(rate(dead_total[5m]))\n"
    rules = (
        recorded + dead + one_rule("job:requests:rate5m > 1") + one_rule("job:dead:rate5m > 1", name="Dead")
    )
    _, body = check(tmp_path, query("promql", "up"), rules, prometheus)
    found = [(f["rule"], f["file"], f["line"]) for f in body["findings"] if f["rule"].startswith("query/")]
    assert found == [("query/dead-metric", "rules.yml", 13)]


@pytest.mark.parametrize(("limit", "wrong"), [("5", True), ("10", True), ("4.9", False)])
def test_a_threshold_at_the_last_bucket_never_fires(
    prometheus: str, tmp_path: Path, limit: str, wrong: bool
) -> None:
    """All requests take 60 seconds, the last bucket ends at 5, and the quantile says 5."""
    _, body = check(tmp_path, query("promql", "up"), one_rule(f"{P95} > {limit}"), prometheus)
    assert ("promql/top-bucket" in {f["rule"] for f in body["findings"]}) is wrong


def test_a_prometheus_that_is_down_is_said_and_is_no_finding(tmp_path: Path) -> None:
    """Nothing is concluded from silence: not that the metrics are there, nor that they are not."""
    url = f"http://127.0.0.1:{free_port()}"
    runbook = "# Book\n\n" + query("promql", "http_request_total").replace("# Fault", "## Fault")
    code, body = check(tmp_path, runbook, one_rule("up == 0"), url)
    assert (code, body["findings"]) == (0, [])
    (note,) = body["summary"]["notes"]
    assert url.removeprefix("http://") in note or "Prometheus" in note
    assert "were not checked" in note


def test_an_address_that_is_none_is_exit_code_2(tmp_path: Path) -> None:
    """One sentence, before anything is asked."""
    runbook = tmp_path / "runbook.md"
    runbook.write_text(query("promql", "up"))
    for url in ("prometheus", "ftp://127.0.0.1", "http://"):
        done = subprocess.run(
            [sys.executable, "-c", "from responder.cli import main; main()", "check", str(runbook), "--prometheus", url],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 2, url
        assert done.stderr.count("\n") == 1
        assert f"'{url}'" in done.stderr
