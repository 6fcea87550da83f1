"""Configuration of the distribution's programs, written into the stack's folder: real files, scaled where time is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from drills import timescale
from drills.errors import DrillError
from drills.ports import HOST, Ports

# The service as a whole, and its parts.
HEALTH_PATHS = ("", "/database", "/redis", "/groq", "/queue")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the files are made from. `scale` is how many times faster time goes."""

    repository: Path
    folder: Path
    ports: Ports
    scale: float

    def source(self, *parts: str) -> str:
        """A file of the repository. Raises DrillError."""
        path = self.repository.joinpath(*parts)
        try:
            return path.read_text(encoding="utf-8")
        except FileNotFoundError as error:
            message = (
                f"{path} is missing. Run this in the repository's folder, or name it: --repository FOLDER"
            )
            raise DrillError(message) from error

    def put(self, text: str, *parts: str) -> Path:
        path = self.folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    @property
    def interval(self) -> str:
        """How often Prometheus looks: at full speed every 15 s, and never less often than its shortest window needs."""
        return timescale.shorter("15s", self.scale)

    @property
    def patient_interval(self) -> str:
        """As `interval`, but never less than a second."""
        return "1s" if self.scale > 15 else self.interval


def prometheus(plan: Plan) -> Path:
    """Prometheus's configuration, with the project's own rules."""
    for file in sorted((plan.repository / "rules").glob("*.rules.yml")):
        plan.put(timescale.rules(file.read_text(encoding="utf-8"), plan.scale), "prometheus", file.name)
    ports = plan.ports
    jobs = {
        "bitb-chatbot": ports.chatbot,
        "bitb-chatbot-worker": ports.chatbot_worker,
        "bitb-responder": ports.responder,
        "bitb-responder-worker": ports.responder_worker,
        "postgres": ports.postgres_exporter,
    }
    health = [f"http://{HOST}:{ports.chatbot}/api/health{path}" for path in HEALTH_PATHS]
    body = {
        "global": {
            "scrape_interval": plan.interval,
            "scrape_timeout": plan.interval,
            "evaluation_interval": plan.interval,
        },
        "rule_files": ["*.rules.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"{HOST}:{ports.alertmanager}"]}]}]},
        "scrape_configs": [
            *(
                {"job_name": name, "static_configs": [{"targets": [f"{HOST}:{port}"]}]}
                for name, port in jobs.items()
            ),
            {
                "job_name": "health",
                # A check may take its time on a busy machine: not less than a second, however fast time goes.
                "scrape_interval": plan.patient_interval,
                "scrape_timeout": plan.patient_interval,
                "metrics_path": "/probe",
                "params": {"module": ["health"]},
                "static_configs": [{"targets": health}],
                # The exporter is asked; whom it asks goes into the label.
                "relabel_configs": [
                    {"source_labels": ["__address__"], "target_label": "__param_target"},
                    {"source_labels": ["__param_target"], "target_label": "instance"},
                    {
                        "source_labels": ["__param_target"],
                        "regex": ".*/api/health/?(.*)",
                        "target_label": "part",
                    },
                    {"target_label": "__address__", "replacement": f"{HOST}:{ports.blackbox}"},
                ],
            },
        ],
    }
    return plan.put(yaml.safe_dump(body, sort_keys=False), "prometheus", "prometheus.yml")


def alertmanager(plan: Plan, *, token: str) -> Path:
    """The project's own alertmanager.yml, with this stack's address and token."""
    text = timescale.alertmanager(plan.source("rules", "alertmanager.yml"), plan.scale)
    text = re.sub(
        r"http://127\.0\.0\.1:\d+/api/alerts", f"http://{HOST}:{plan.ports.responder}/api/alerts", text
    )
    secret = plan.put(token, "alertmanager", "responder.token")
    secret.chmod(0o600)
    return plan.put(text, "alertmanager", "alertmanager.yml")


def blackbox(plan: Plan) -> Path:
    body = {
        "modules": {"health": {"prober": "http", "timeout": "3s", "http": {"preferred_ip_protocol": "ip4"}}}
    }
    return plan.put(yaml.safe_dump(body), "blackbox", "blackbox.yml")


def runbook(plan: Plan) -> Path:
    text = timescale.runbook(plan.source("runbooks", "bitb-chatbot.md"), plan.scale)
    return plan.put(text, "runbooks", "bitb-chatbot.md")


def policies(plan: Plan, *, files: Mapping[str, Path]) -> Path:
    """The project's own policies, with this stack's addresses; `files` maps a log of the runbook to the file here."""
    ports = {8801: plan.ports.chatbot, 8812: plan.ports.sink}
    for file in sorted((plan.repository / "policies").glob("*.toml")):
        text = timescale.policy(file.read_text(encoding="utf-8"), plan.scale)
        for written, real in ports.items():
            text = text.replace(f"http://127.0.0.1:{written}", f"http://{HOST}:{real}")
        for path, here in files.items():
            text = text.replace(f'file = "{path}"', f'file = "{here}"')
        plan.put(text, "policies", file.name)
    return plan.folder / "policies"
