"""The commands that stand in the documentation, found and taken apart as a shell would."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PROGRAMS = ("datspect", "dvc", "make", "mlflow", "python")
"""Those of this project and those that it is used with: their commands are looked for in sentences as well."""

_BLOCK = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(rf"^    (?P<text>(?:{'|'.join(PROGRAMS)}) (?:.*\\\n)*.*)$", re.MULTILINE)
_IN_SENTENCE = re.compile(rf"`(?P<text>(?:{'|'.join(PROGRAMS)})\s[^`]+)`")
_PLACEHOLDER = "PLACEHOLDER"


@dataclass(frozen=True)
class Command:
    """One command of a page: the words of a program and its arguments; `whole` if it is written out as it is typed."""

    page: str
    line: int
    words: tuple[str, ...]
    whole: bool

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {' '.join(self.words)}"


def written_commands(page: Path) -> list[Command]:
    """Return the commands of a page: of its blocks of `sh`, of indented lines, of prompts, and those in sentences."""
    text = page.read_text(encoding="utf-8")
    name = page.relative_to(ROOT).as_posix() if page.is_relative_to(ROOT) else page.name
    found = []
    for start, written, whole in _written(text):
        line = text.count("\n", 0, start) + 1
        found += [Command(name, line, words, whole) for words in split(written)]
    return found


def _written(text: str) -> Iterator[tuple[int, str, bool]]:
    """Yield where something typed begins, what it is, and whether it is written out whole."""
    prose = list(text)
    for block in _BLOCK.finditer(text):
        prose[block.start() : block.end()] = " " * (block.end() - block.start())
        if block["language"] == "sh":
            yield from _lines(block["text"], block.start("text"))
        elif block["language"] in ("text", "console"):
            prompts = re.finditer(r"^\$ (.*)$", block["text"], re.MULTILINE)
            yield from ((block.start("text") + each.start(), each[1], True) for each in prompts)
    without_blocks = "".join(prose).replace("\\`", "  ")  # as long; a backtick with a backslash begins no code
    for each in _INDENTED.finditer(without_blocks):
        yield each.start("text"), each["text"].replace("\\\n", " "), True
    for each in _IN_SENTENCE.finditer(without_blocks):
        yield each.start("text"), " ".join(each["text"].split()), False


def _lines(block: str, start: int) -> Iterator[tuple[int, str, bool]]:
    """Yield the lines of a block; one that ends in a backslash goes on in the next."""
    for line in re.finditer(r"(?:.*\\\n)*.*\n", block):
        yield start + line.start(), line[0].replace("\\\n", " ").strip(), True


def split(written: str) -> list[tuple[str, ...]]:
    """Return the commands of a line, those in `$(...)` too, without comments, redirections and assignments."""
    inside = re.findall(r"\$\(([^()]*(?:\([^()]*\))?[^()]*)\)", written)
    outside = re.sub(r"\$\(([^()]*(?:\([^()]*\))?[^()]*)\)", _PLACEHOLDER, written)
    lexer = shlex.shlex(outside, posix=True, punctuation_chars=True)
    lexer.wordchars += "{}[]@:,%!^$…"
    commands: list[list[str]] = [[]]
    words = iter(lexer)
    for word in words:
        if set(word) <= set("|&;()"):
            commands.append([])
        elif set(word) <= set("<>"):
            next(words, None)
        else:
            commands[-1].append(word)
    found = [_without_assignments(command) for command in commands]
    return [command for command in found if command] + [each for text in inside for each in split(text)]


def _without_assignments(command: list[str]) -> tuple[str, ...]:
    while command and re.match(r"[A-Za-z_]+=", command[0]):
        command = command[1:]
    return tuple(command)


def is_placeholder(word: str) -> bool:
    """Return whether a word stands for something of the reader's: SCAN, HOST, "...", or what a shell puts in."""
    return bool(re.search(r"\b[A-Z][A-Z_]{1,}\b|\.\.\.|\$", word)) or word in ("A", "B", "N", "X")
