"""The main job, whole: from nothing to a post-mortem, with everything real."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_everything_happens_and_nothing_stays(tmp_path: Path) -> None:
    """Exit code 0, every line in its order, no process left, and a post-mortem on the disk."""
    tmp_path.chmod(0o755)
    argv = [
        sys.executable,
        "-c",
        "from drills.cli import main; main()",
        "demo",
        "--stack-dir",
        str(tmp_path / "stack"),
    ]
    argv += ["--port-base", "9870", "--repository", str(ROOT)]
    done = subprocess.run(
        argv, capture_output=True, text=True, timeout=170, check=False, env={**os.environ, "CI": "true"}
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "Traceback" not in done.stdout + done.stderr
    found = re.findall(r"^ +-?[\d.]+ s  (\S+ ?\S*)  ", done.stdout, re.MULTILINE)
    kinds = [kind.strip() for kind in found]
    in_order = ["fault", "incident opened", "page sent", "acknowledged", "remediation approved", "remediation run",
                "remediation verified", "incident resolved", "postmortem written"]  # fmt: skip
    positions = [kinds.index(kind) for kind in in_order]
    assert positions == sorted(positions)
    draft = (tmp_path / "stack" / "postmortems" / "INC-1.md").read_text()
    assert "rerank_failed" in draft
    left = subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, text=True, check=False)
    assert left.stdout == "", "processes were left behind"
