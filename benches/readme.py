#!/usr/bin/env python3
"""The table of the README, out of the newest result of `benches/compare.sh`: its rows that stand beside another, without
the columns that only explain.

    benches/readme.py            writes it
    benches/readme.py --check    fails if the README says something else
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benches" / "results"
BEGIN, END = "<!-- numbers: by benches/readme.py -->", "<!-- end of numbers -->"
# Other scripts keep their results in the same folder, under longer names.
NAME = re.compile(r"(\d{4}-\d\d-\d\d)-\d+cpu\.md")
LEFT_OUT = ("CPU s/GB", "runs")


def newest(folder):
    """By date, which the name begins with; of one day, the one with the greatest name."""
    return max((path for path in folder.iterdir() if NAME.fullmatch(path.name)), key=lambda path: path.name)


def cells(line):
    """The cells of a row; a bar with a backslash is text."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]


def first_table(text):
    lines = text.splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith("|"))
    end = next((number for number in range(begin, len(lines)) if not lines[number].startswith("|")), len(lines))
    return [cells(line) for line in lines[begin:end]]


def table(rows):
    head, rule, *body = rows
    kept = [column for column, name in enumerate(head) if name not in LEFT_OUT]
    beside = head.index("as long as")
    line = lambda row, space: f"|{space}" + f"{space}|{space}".join(row[column] for column in kept) + f"{space}|"
    return "\n".join([line(head, " "), line(rule, ""), *(line(row, " ") for row in body if row[beside])])


def fact(text, name):
    """What follows `- NAME: ` in the head of a result."""
    return re.search(rf"^- {name}: (.*)$", text, re.MULTILINE)[1]


def section(path):
    text, date = path.read_text(), NAME.fullmatch(path.name)[1]
    return (
        f"Printed by `benches/compare.sh` on {date}; [all rows, CPU time, versions](benches/results/{path.name}).\n"
        f"Input: {fact(text, 'input')}. Machine: {fact(text, 'machine')}.\n"
        "`times` is wall time against what is named behind it; the last column tells whether what was left is right.\n\n"
        f"{table(first_table(text))}"
    )


def renewed(readme, text):
    head, begin, rest = readme.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        sys.exit(f"README.md: no {BEGIN} before {END}")
    return f"{head}{BEGIN}\n\n{text}\n\n{END}{tail}"


def main():
    readme = ROOT / "README.md"
    was = readme.read_text()
    path = newest(RESULTS)
    is_now = renewed(was, section(path))
    if sys.argv[1:] == ["--check"]:
        if was != is_now:
            sys.exit(f"README.md does not say what {path.name} gives: run benches/readme.py")
    else:
        readme.write_text(is_now)


main()
