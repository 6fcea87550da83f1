"""Documents that fail the build when they lie."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import write_docs  # noqa: E402 - it lies outside of the packages

MARKDOWN = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
VARIABLE = re.compile(r"\b(?:RESPONDER|CHATBOT|GROQ|OPENAI|PROMETHEUS)_[A-Z_]*[A-Z]\b")


@pytest.mark.parametrize("file", MARKDOWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(file: Path) -> None:
    """Relative links name files that are there."""
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", file.read_text()):
        if "://" not in target:
            assert (file.parent / target).exists(), f"{file.name} links to {target}"


def test_what_an_answer_costs_is_what_was_measured() -> None:
    """The tables of docs/reference/answers.md are those of the kept figures."""
    page = write_docs.COST_OF_ANSWERS.read_text(encoding="utf-8")
    assert "| new answer, whole, median |" in page
    assert page == write_docs.with_tables(page), "run: make docs"


@pytest.mark.parametrize("name", list(write_docs.PAGES))
def test_the_generated_pages_are_up_to_date(name: str) -> None:
    """`make docs` would change nothing."""
    written = (ROOT / "docs" / "reference" / name).read_text()
    assert written == write_docs.PAGES[name](), "run: make docs"


def _read_by_the_code() -> set[str]:
    names: set[str] = set()
    for file in [
        *(ROOT / "responder/src/responder/config").glob("*.py"),
        ROOT / "chatbot/src/chatbot/config.py",
    ]:
        for node in ast.walk(ast.parse(file.read_text())):
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and VARIABLE.fullmatch(node.value)
            ):
                names.add(node.value)
    return names


def test_every_variable_is_in_the_reference_and_no_other() -> None:
    """What the programs read, and what the page says that they read."""
    documented = set(VARIABLE.findall((ROOT / "docs/reference/environment.md").read_text()))
    assert documented == _read_by_the_code()


def test_only_config_reads_the_environment() -> None:
    """One door: nobody else asks os.environ. The drill passes some of its own on to its children."""
    allowed = {
        "responder/src/responder/config/__init__.py",
        "chatbot/src/chatbot/config.py",
        "drills/src/drills/stack.py",
        "drills/src/drills/cli.py",
    }
    found = {
        str(file.relative_to(ROOT))
        for part in ("responder", "chatbot", "drills")
        for file in (ROOT / part / "src").rglob("*.py")
        if re.search(r"os\.environ|os\.getenv", file.read_text())
    }
    assert found == allowed


def test_every_verb_of_the_readme_is_in_the_makefile() -> None:
    """`make X` in any document works."""
    verbs = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for file in MARKDOWN:
        for verb in re.findall(r"(?:`|^)make ([a-z]+)", file.read_text(), re.MULTILINE):
            assert verb in verbs, f"{file.name}: make {verb}"


def test_every_policy_key_is_in_the_reference() -> None:
    """The keys that the loader knows."""
    known = set(
        re.findall(r"only\(([^)]*)\)", (ROOT / "responder/src/responder/config/policies.py").read_text())
    )
    keys = {key for group in known for key in re.findall(r'"(\w+)"', group)}
    page = (ROOT / "docs/reference/policies.md").read_text()
    assert {key for key in keys if key not in page} == set()


def test_the_project_speaks_of_itself_alone() -> None:
    """No path of a machine, and no address of a package registry, in what is kept."""
    foreign = re.compile("/(?:home|root|work)/[a-z]|pypi[.]org|python[h]osted|npm[j]s")
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    for name in listed:
        if name.endswith((".md", ".py", ".toml", ".yml", ".lock", ".sh")) or "/" not in name:
            text = (ROOT / name).read_text(encoding="utf-8")
            assert foreign.search(text) is None, name
