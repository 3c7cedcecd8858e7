"""Does the script read from top to bottom, in moderate sections and lines of 99 columns?"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Set, Tuple

from conftest import SCRIPT

ROOT = SCRIPT.parent
MAX_COLUMNS = 99
MAX_SHARE = 0.11  # of the file's lines, for a section without a reason to be larger
SECTION = re.compile(r"# [-=]{20,}\n# ([0-9]+)\. ([^:\n]+)(?::|\n)")
# Sections that may be larger: name -> largest share, with the reason in a comment.
LARGER: Dict[str, float] = {}


class Section(NamedTuple):
    """A section of the script, from its header to the next one; the head is number 0."""

    number: int
    name: str
    first_line: int
    last_line: int


def sections_of(source: str) -> List[Section]:
    """Return the sections of a script, the head first."""
    lines = source.count("\n")
    starts = [(0, "Head", 1)]
    for match in SECTION.finditer(source):
        line = source.count("\n", 0, match.start()) + 1
        starts.append((int(match.group(1)), match.group(2), line))
    ends = [line - 1 for _, _, line in starts[1:]] + [lines]
    return [Section(*start, end) for start, end in zip(starts, ends)]


def section_at(sections: List[Section], line: int) -> Section:
    """Return the section that contains a line."""
    return next(each for each in sections if each.first_line <= line <= each.last_line)


def definitions(tree: ast.Module) -> Dict[str, int]:
    """Return the line of each name that the module defines at its top level."""
    lines: Dict[str, int] = {}
    for node in tree.body:
        for name in _names_defined(node):
            lines.setdefault(name, node.lineno)
    return lines


def _names_defined(node: ast.AST) -> Iterator[str]:
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        yield node.name
    elif isinstance(node, (ast.Assign, ast.AnnAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            for each in ast.walk(target):
                if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
                    yield each.id


def uses(node: ast.AST, hidden: Set[str]) -> Iterator[Tuple[str, int]]:
    """Yield the names that code uses, annotations included, unless a function hides them.

    Annotations may be texts, since Python 3.7 cannot evaluate all of them.
    """
    if isinstance(node, (ast.FunctionDef, ast.Lambda)):
        hidden = hidden | _local_names(node)
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id not in hidden:
        yield node.id, node.lineno
    for annotation, line in _text_annotations(node):
        yield from ((name, line) for name, _ in uses(ast.parse(annotation), hidden))
    for child in ast.iter_child_nodes(node):
        yield from uses(child, hidden)


def _local_names(function: ast.AST) -> Set[str]:
    names: Set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def _text_annotations(node: ast.AST) -> Iterator[Tuple[str, int]]:
    for field in ("annotation", "returns"):
        annotation = getattr(node, field, None)
        is_python_3_7 = type(annotation).__name__ == "Str"
        text = getattr(annotation, "s" if is_python_3_7 else "value", None)
        if isinstance(text, str) and annotation is not None:
            yield text, annotation.lineno


def upward_references(source: str) -> List[str]:
    """Return a line for each use of a name that a later section defines."""
    tree, sections = ast.parse(source), sections_of(source)
    defined = definitions(tree)
    found = []
    for name, line in uses(tree, set()):
        if name not in defined:
            continue
        here, there = section_at(sections, line), section_at(sections, defined[name])
        if there.number > here.number:
            found.append(f"line {line}: {here.name} uses {name} of {there.name}")
    return found


SOURCE = SCRIPT.read_text(encoding="utf-8")


def test_sections_are_numbered_from_1_to_21() -> None:
    assert [section.number for section in sections_of(SOURCE)] == list(range(22))


def test_sections_use_only_names_of_sections_above() -> None:
    assert upward_references(SOURCE) == []


def test_upward_references_are_found_in_code_and_annotations() -> None:
    ruler = "# " + "=" * 40 + "\n"
    source = (
        f"{ruler}# 1. First: one.\n{ruler}"
        "def early(value: 'Late', hidden: int) -> 'Late':\n"
        "    local = 1\n"
        "    return late() + local + hidden\n"
        f"{ruler}# 2. Second: two.\n{ruler}"
        "class Late: pass\n"
        "def late() -> Late: return early(1, 2)\n"
        "local = hidden = 3\n"
    )
    assert sorted(reference.split(": ")[1] for reference in upward_references(source)) == [
        "First uses Late of Second",
        "First uses Late of Second",
        "First uses late of Second",
    ]


def test_no_section_is_larger_than_allowed() -> None:
    total = SOURCE.count("\n")
    shares = {
        section.name: (section.last_line - section.first_line + 1) / total
        for section in sections_of(SOURCE)
    }
    limits = {name: LARGER.get(name, MAX_SHARE) for name in shares}
    assert {name: share for name, share in shares.items() if share > limits[name]} == {}


def test_no_line_is_longer_than_99_columns() -> None:
    files = [SCRIPT, *(ROOT / "tests").rglob("*.py"), *(ROOT / ".ci").rglob("*.py")]
    assert [where for path in files for where in _long_lines(path)] == []


def _long_lines(path: Path) -> Iterator[str]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if len(line) > MAX_COLUMNS:
            yield f"{path.relative_to(ROOT)}:{number}"
