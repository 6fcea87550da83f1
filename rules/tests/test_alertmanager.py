"""Who is told of what, and what is held back: by amtool, and by a real Alertmanager that is given alerts."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "rules" / "alertmanager.yml"
ALERTS = {
    rule["alert"]: rule["labels"]
    for group in yaml.safe_load((ROOT / "rules/bitb-chatbot.rules.yml").read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
}


def program(name: str) -> str:
    path = shutil.which(name) or shutil.which(name, path=str(ROOT / ".stack/system/usr/bin"))
    assert path, f"{name} is missing; run: sudo apt-get install prometheus-alertmanager"
    return path


def amtool(*arguments: str) -> str:
    done = subprocess.run([program("amtool"), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def test_the_configuration_is_valid_and_tells_every_end() -> None:
    """`amtool check-config` finds nothing; every receiver hears of the end too, and the token is not in the file."""
    amtool("check-config", str(CONFIG))
    for receiver in yaml.safe_load(CONFIG.read_text())["receivers"]:
        (hook,) = receiver["webhook_configs"]
        assert hook["send_resolved"] is True
        assert hook["http_config"]["authorization"] == {
            "type": "Bearer",
            "credentials_file": "responder.token",
        }


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ("alertname=Watchdog severity=none service=monitoring", "responder-watchdog"),
        ("alertname=HighErrorRate severity=P0 kind=symptom", "responder-now"),
        ("alertname=TenantIsolationViolation severity=P0 kind=security", "responder-now"),
        ("alertname=SuspiciousAuthActivity severity=P1 kind=security", "responder-now"),
        ("alertname=HighRAGLatency severity=P1 kind=symptom", "responder"),
        ("alertname=APIAvailabilityLow severity=P2 kind=symptom", "responder"),
        ("alertname=SomebodyElses", "responder"),
    ],
)
def test_where_an_alert_goes(labels: str, receiver: str) -> None:
    """`amtool config routes test`."""
    assert amtool("config", "routes", "test", f"--config.file={CONFIG}", *labels.split()) == receiver


def test_what_pages_does_not_wait() -> None:
    """Two seconds at most before the first telling of a P0, none for security."""
    waits = {
        route["receiver"] + str(route["matchers"]): int(route["group_wait"].removesuffix("s"))
        for route in yaml.safe_load(CONFIG.read_text())["route"]["routes"]
    }
    assert [wait for route, wait in waits.items() if "P0" in route] == [1]
    assert [wait for route, wait in waits.items() if "security" in route] == [0]


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real Alertmanager with the project's configuration, and nobody behind its webhook."""
    folder = tmp_path_factory.mktemp("alertmanager")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    (folder / "responder.token").write_text("a-token-for-tests")
    text = re.sub(r"127\.0\.0\.1:\d+/api", "127.0.0.1:9/api", CONFIG.read_text())
    (folder / "alertmanager.yml").write_text(text)
    argv = [program("prometheus-alertmanager"), f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}",
            f"--web.listen-address={address}", "--cluster.listen-address=", "--log.level=error"]  # fmt: skip
    process = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                call(f"http://{address}/api/v2/status")
                break
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait()


def call(url: str, body: Any = None) -> Any:
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})  # noqa: S310 - our own
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
        text = answer.read()
    return json.loads(text) if text else None


def held_back(alertmanager: str, service: str, *firing: tuple[str, str]) -> set[str]:
    """Which of these alerts (name, severity) of one service are not told while all of them fire."""
    sent = [
        {
            "labels": {
                "alertname": name,
                "severity": severity,
                "kind": ALERTS[name]["kind"],
                "service": service,
            }
        }
        for name, severity in firing
    ]
    call(f"{alertmanager}/api/v2/alerts", sent)
    until = time.monotonic() + 20
    states: list[dict[str, Any]] = []
    while time.monotonic() < until:
        found = call(f"{alertmanager}/api/v2/alerts?filter=service%3D%22{service}%22")
        states = [alert for alert in found if alert["status"]["state"] != "unprocessed"]
        if len(states) == len(firing):
            break
        time.sleep(0.2)
    return {
        f"{a['labels']['alertname']} {a['labels']['severity']}" for a in states if a["status"]["inhibitedBy"]
    }


def test_what_is_explained_is_held_back(alertmanager: str) -> None:
    """The service down explains everything of it but security; a cause its symptoms; failures the month's budget."""
    everything = [("ServiceDown", "P0"), ("HighErrorRate", "P0"), ("APIAvailabilityLow", "P0"), ("CircuitBreakerOpen", "P0"),
                  ("HighRAGLatency", "P1"), ("TenantIsolationViolation", "P0"), ("SuspiciousAuthActivity", "P0")]  # fmt: skip
    assert held_back(alertmanager, "down", *everything) == {
        "HighErrorRate P0", "APIAvailabilityLow P0", "CircuitBreakerOpen P0", "HighRAGLatency P1",
    }  # fmt: skip
    breaker = [
        ("CircuitBreakerOpen", "P0"),
        ("HighErrorRate", "P0"),
        ("DatabaseConnectionPoolExhausted", "P0"),
    ]
    assert held_back(alertmanager, "breaker", *breaker) == {"HighErrorRate P0"}
    assert held_back(alertmanager, "errors", ("HighErrorRate", "P0"), ("APIAvailabilityLow", "P0")) == {
        "APIAvailabilityLow P0"
    }
    assert held_back(alertmanager, "tiers", ("HighRAGLatency", "P0"), ("HighRAGLatency", "P1")) == {
        "HighRAGLatency P1"
    }


def test_what_explains_nothing_holds_nothing_back(alertmanager: str) -> None:
    """A cause that does not page leaves the page of its symptom alone, and services do not explain each other."""
    assert held_back(alertmanager, "fallback", ("CircuitBreakerOpen", "P1"), ("HighErrorRate", "P0")) == set()
    assert held_back(alertmanager, "blind", ("ServiceDown", "P1"), ("HighErrorRate", "P0")) == set()
    assert held_back(alertmanager, "another", ("HighErrorRate", "P0")) == set()
