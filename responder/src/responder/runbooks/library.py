"""The runbooks that this installation runs, read once: later edits need a reload, and govern later incidents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from responder.core.alert import Alert
from responder.core.incident import Severity
from responder.core.rule import RuleFile
from responder.core.runbook import AlertEntry, ProcessStage, Runbook
from responder.core.status_page import UpdateState, templates_from
from responder.errors import RunbookError
from responder.runbooks.reader import read_runbook
from responder.runbooks.rules import holds_rules, read_rules
from responder.runbooks.sections import Lexicon

_MARKDOWN = (".md", ".markdown")
_RULES = (".yml", ".yaml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An alert's entry and the revision it is of."""

    alert: AlertEntry
    path: str
    sha256: str
    text: str
    process: tuple[ProcessStage, ...]

    @property
    def severity(self) -> Severity | None:
        """The runbook's word, where it is one of ours."""
        word = self.alert.severity or ""
        return Severity(word) if word in set(Severity) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    runbooks: tuple[Runbook, ...]

    def entry_for(self, alert: Alert) -> Entry | None:
        """What the runbooks say about an alert: the first that has an entry."""
        for runbook in self.runbooks:
            if found := runbook.entry_for(alert.name, alert.runbook_url):
                return Entry(
                    alert=found,
                    path=Path(runbook.path).name,
                    sha256=runbook.sha256,
                    text=runbook.text,
                    process=runbook.process or self._process(),
                )
        return None

    def process_of(self, sha256: str | None) -> tuple[ProcessStage, ...]:
        """The process of a revision, if it is one that is loaded."""
        own = next((runbook.process for runbook in self.runbooks if runbook.sha256 == sha256), ())
        return own or self._process()

    @property
    def templates(self) -> Mapping[UpdateState, str]:
        """The words for the status page: the first runbook's that has any."""
        written = next((runbook.templates for runbook in self.runbooks if runbook.templates), ())
        return templates_from({template.state: template.text for template in written})

    def _process(self) -> tuple[ProcessStage, ...]:
        # A folder with a file for each alert keeps the process in a file of its own.
        return next((runbook.process for runbook in self.runbooks if runbook.process), ())


def load_library(paths: Sequence[Path], lexicon: Lexicon | None = None) -> Library:
    """Reads files, and folders of *.md. Raises RunbookError."""
    return Library(runbooks=tuple(read_runbook(path, lexicon) for path in _files(paths, _MARKDOWN)))


def read_each(
    paths: Sequence[Path], lexicon: Lexicon | None = None
) -> tuple[tuple[Runbook, ...], tuple[RunbookError, ...]]:
    """As `load_library`, but what cannot be read in a folder is returned beside the rest. Raises for a file asked for by name."""
    runbooks: list[Runbook] = []
    errors: list[RunbookError] = []
    for path in paths:
        for file in _files([path], _MARKDOWN):
            try:
                runbooks.append(read_runbook(file, lexicon))
            except RunbookError as error:
                if file == path:
                    raise
                errors.append(error)
    return tuple(runbooks), tuple(errors)


def read_each_rules(paths: Sequence[Path]) -> tuple[tuple[RuleFile, ...], tuple[RunbookError, ...]]:
    """Rule files and manifests, and those among the YAML of folders; of folders, what cannot be read is returned beside.

    Raises RunbookError for a file asked for by name.
    """
    files: list[RuleFile] = []
    errors: list[RunbookError] = []
    for path in paths:
        for file in _files([path], _RULES):
            try:
                if file == path or holds_rules(file.read_text(encoding="utf-8", errors="replace")):
                    files.append(read_rules(file))
            except RunbookError as error:
                if file == path:
                    raise
                errors.append(error)
    return tuple(files), tuple(errors)


def _files(paths: Sequence[Path], suffixes: tuple[str, ...]) -> Iterator[Path]:
    """The files themselves, and of folders those with one of the suffixes, in order of their names."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        found = sorted(file for file in path.rglob("*") if file.suffix in suffixes and file.is_file())
        if not found:
            raise RunbookError(f"the folder holds no *{suffixes[0]} file", path=str(path))
        yield from found
