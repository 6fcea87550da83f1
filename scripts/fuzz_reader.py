"""Searches for Markdown that breaks the reader, guided by coverage: `make fuzz SECONDS=600`. Seeds: the runbooks of the tests."""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["responder.runbooks", "responder.core"]):
    from responder.errors import RunbookError
    from responder.runbooks.explain import explain_json, explain_text
    from responder.runbooks.reader import parse_runbook

ROOT = Path(__file__).parents[1]
CORPUS = ROOT / ".stack" / "fuzz"


def try_one(data: bytes) -> None:
    text = data.decode("utf-8", errors="replace").replace("\x00", "")
    try:
        runbook = parse_runbook(text, path="x.md")
    except RunbookError:
        return
    last = runbook.text.count("\n") + 1
    explain_text([runbook], bound=frozenset())
    for alert in explain_json([runbook], bound=frozenset())["runbooks"][0]["alerts"]:
        for part in (*alert["steps"], *alert["remediation"]):
            if not all(1 <= action["line"] <= last + 1 for action in part["actions"]):
                raise AssertionError(f"an action outside of the {last} lines of the file")
    if not 0 <= runbook.understood <= 1:
        raise AssertionError(f"a share of {runbook.understood}")


def main() -> None:
    CORPUS.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(
        [*ROOT.glob("responder/tests/*.md"), *ROOT.glob("runbooks/*.md"), *ROOT.glob("docs/**/*.md")]
    ):
        for part, section in enumerate(path.read_text(encoding="utf-8").split("\n## ")):
            (CORPUS / f"seed-{number}-{part}").write_text(f"# A\n\n## {section}", encoding="utf-8")
    atheris.Setup([sys.argv[0], str(CORPUS), "-max_len=4000", "-timeout=20", *sys.argv[1:]], try_one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
