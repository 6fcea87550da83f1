"""Citations in an answer while it streams: `[n]` that the sources do not hold never reach the reader.

A marker is a pair of brackets, `[ ]` or one of their wide forms, round numbers: one, several apart by commas, or a range.
Digits of every script count, also superscript and circled ones, and invisible characters between them do not. What
passes on is always plain: `[1]`, one pair for each number. Where nothing of a marker is left, the space before it goes too.

Left as it is: code, in fences or in a line; `[1](address)` and the address itself; `\\[1]`; and a bracket that never
closes or holds anything but numbers. Not covered: a marker in words ("source 9"), and a bare superscript (m²).
"""

from __future__ import annotations

import re
import unicodedata

_OPEN = {"[": "]", "［": "]", "【": "]"}
_CLOSE = {"]", "］", "】"}
_COMMAS = frozenset(",，、;；،")
_DASHES = frozenset("-‐‑‒–—−")
# Longer than every number of the largest set of sources, written out.
_LONGEST = 600
_IDLE = re.compile(r"[^\[［【`~\\\]\n ]*")
_NUMBERS = re.compile(r"\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*")


def numbers_of(inside: str, *, held: int) -> list[int] | None:
    """The numbers of a marker, from 1 to `held`, in their order and once each; None when it is no marker."""
    plain: list[str] = []
    # `[^1]` is how footnotes are written, `【1†title】` how some models were taught to cite.
    for char in inside.removeprefix("^").partition("†")[0]:
        digit = unicodedata.digit(char, None)
        if digit is not None:
            plain.append(str(digit))
        elif char in _COMMAS:
            plain.append(",")
        elif char in _DASHES:
            plain.append("-")
        elif not char.isspace() and unicodedata.category(char) not in {"Cf", "Mn", "Me"}:
            return None
    text = "".join(plain).strip(",")
    if not _NUMBERS.fullmatch(text):
        return None
    found: dict[int, None] = {}
    for part in text.split(","):
        low, _, high = part.partition("-")
        last = min(int(high or low), held)
        found.update(dict.fromkeys(range(max(1, int(low)), last + 1)))
    return list(found)


class Citations:
    """One answer's filter. `feed` gives what may be shown of the text so far, `end` what was held back for its rest."""

    def __init__(self, sources: int) -> None:
        self._sources = sources
        self._out: list[str] = []
        self._spaces = ""  # not shown yet: a marker that is dropped takes them along
        self._dropped = False  # a marker was dropped just now
        self._marker = ""  # an open bracket and what follows it
        self._outer: list[str] = []  # open brackets around it: `[[9]7]` must not become `[7]`
        self._closed = ""  # a whole marker, until it is known whether an address follows
        self._run = ""  # backticks or tildes, until it is known how many
        self._code = ""  # the run that opened the code that we are in
        self._line_start = True
        self._newlines = 0
        self._escaped = False
        self._address = 0  # depth of brackets within an address

    def feed(self, text: str) -> str:
        """The part of the answer that this makes certain."""
        if self._plain(text):
            return text
        for char in text:
            self._take(char)
        return self._given()

    def end(self) -> str:
        """What is left when the answer is over: an unfinished marker is only text."""
        self._end_run()
        if self._closed:
            self._cite()
        self._unwind()
        self._spaces = ""  # the last of them show nothing
        return self._given()

    def _plain(self, text: str) -> bool:
        """Whether nothing is held and the text holds nothing that matters: most pieces of an answer."""
        waiting = self._marker or self._closed or self._run or self._code or self._address or self._escaped
        if waiting or self._spaces or self._dropped or not text:
            return False
        # A space within is shown at once unless something that may be dropped follows; only the last is held.
        if text[-1] in " \n" or not _IDLE.fullmatch(text.replace(" ", "")):
            return False
        self._line_start = False
        self._newlines = 0
        return True

    def _given(self) -> str:
        given, self._out = "".join(self._out), []
        return given

    def _take(self, char: str) -> None:
        if self._run:
            if char == self._run[0]:
                self._run += char
                return
            self._end_run()
        if self._closed:
            if char == "(":
                self._unwind()
                self._put(self._closed)
                self._closed, self._address = "", 1
                self._put(char)
                return
            self._cite()
        if self._marker:
            self._inside(char)
        elif self._code or self._address or self._escaped:
            self._verbatim(char)
        else:
            self._outside(char)

    def _outside(self, char: str) -> None:
        if char in _OPEN:
            self._marker = char
        elif char in "`~":
            self._run = char
        elif char == " ":
            if not self._dropped:
                self._spaces += char
            elif not self._spaces and not self._line_start:
                self._spaces = char
        else:
            self._put(char)
            self._escaped = char == "\\"

    def _verbatim(self, char: str) -> None:
        if char in "`~" and not self._address:
            self._run = char
            return
        self._escaped = False
        self._put(char)
        if self._address:
            self._address += (char == "(") - (char == ")")
            if char.isspace():
                self._address = 0
        elif self._newlines >= 2 and not self._is_fence(self._code):
            self._code = ""  # a lone backtick opens nothing beyond its paragraph

    def _inside(self, char: str) -> None:
        if char in _CLOSE:
            self._closed, self._marker = self._marker + char, ""
        elif char in _OPEN:
            self._outer.append(self._marker)
            self._marker = char
        elif char in "`\n\\" or len(self._marker) + sum(map(len, self._outer)) >= _LONGEST:
            self._unwind()
            self._outside(char)
        else:
            self._marker += char

    def _cite(self) -> None:
        """A whole bracket that no address follows: cited, dropped, or only text. What is around it goes on."""
        text, self._closed = self._closed, ""
        numbers = numbers_of(text[1:-1], held=self._sources)
        if numbers is not None:
            text = "".join(f"[{number}]" for number in numbers)
        if self._outer:
            self._marker = self._outer.pop() + text
        elif text:
            self._put(text)
        else:
            self._dropped = True

    def _unwind(self) -> None:
        """Open brackets that turn out to be only text."""
        self._put("".join([*self._outer, self._marker]))
        self._outer.clear()
        self._marker = ""

    def _end_run(self) -> None:
        if not self._run:
            return
        run, self._run = self._run, ""
        fence = self._line_start and len(run) >= 3
        self._put(run)
        if not self._code:
            if run[0] == "`" or fence:
                self._code = f"\n{run}" if fence else run
        elif self._is_fence(self._code):
            opened = self._code[1:]
            if fence and run[0] == opened[0] and len(run) >= len(opened):
                self._code = ""
        elif run == self._code:
            self._code = ""

    @staticmethod
    def _is_fence(code: str) -> bool:
        return code.startswith("\n")

    def _put(self, text: str) -> None:
        """Shows the text, with the spaces before it unless a dropped marker took them."""
        if not text:
            return
        if self._dropped and not text[0].isalnum() and text[0] not in "[(":
            self._spaces = ""
        self._out.append(self._spaces)
        self._out.append(text)
        self._spaces, self._dropped = "", False
        if text.isspace():
            self._newlines += text.count("\n")
            self._line_start = "\n" in text or self._line_start
        else:
            self._newlines = 0
            self._line_start = text.endswith("\n")


def without_citations(text: str) -> str:
    """The text without its markers."""
    citations = Citations(sources=0)
    return citations.feed(text) + citations.end()
