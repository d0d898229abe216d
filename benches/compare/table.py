"""What the comparison prints: the table of its rows, and the goals that follow from it.

    table.py ROWS SAMPLES

ROWS: id, label, reference, bytes of input, state; SAMPLES: id, wall, user and system seconds, peak KiB; with tabs.
"""

import collections
import statistics
import sys

# What is asked of a row against another one: at most, or at least, so many times its wall time or its peak memory.
GOALS = [
    ("plain NDJSON, at most 3 times as long as `cat`", "wall", "split-none", "cat", "most", 3),
    ("the same with the disk waited for, at most 3 times as long as `cat` and `sync`", "wall", "split-seal", "cat-sync", "most", 3),
    ("DuckDB takes at least 10 times as long", "wall", "duckdb", "split-none", "least", 10),
    ("DuckDB takes at least 20 times the memory", "peak", "duckdb", "split-none", "least", 20),
    ("`.gz`, at most 1.3 times as long as `igzip -dc`", "wall", "split-gz", "igzip-gz", "most", 1.3),
    ("`.gz` of many members, the same", "wall", "split-members", "igzip-members", "most", 1.3),
    ("BGZF, the same", "wall", "split-bgzf", "igzip-bgzf", "most", 1.3),
    ("`.zst`, at most 1.5 times as long as `zstd -dc`", "wall", "split-zst", "zstd-dc", "most", 1.5),
    ("`.gz` output, no slower than `pigz`", "wall", "split-to-gz", "pigz", "most", 1),
    ("Bundle, at most 5 times as long as `cat`", "wall", "split-bundle", "cat-bundle", "most", 5),
    ("pretty-printed Bundle, the same", "wall", "split-pretty", "cat-pretty", "most", 5),
]
PEAK_MIB = 64


class Row:
    """One row and its runs."""

    def __init__(self, label, reference, size, state, runs):
        self.label, self.reference, self.size, self.state, self.runs = label, reference, int(size), state, runs

    def median(self, pick):
        values = [pick(run) for run in self.runs]
        return statistics.median(values) if values and None not in values else None

    @property
    def wall(self):
        return self.median(lambda run: run[0])

    @property
    def cpu_per_gb(self):
        cpu = self.median(lambda run: run[1] + run[2])
        return None if cpu is None else cpu / (self.size / 1e9)

    @property
    def peak(self):
        return self.median(lambda run: None if run[3] is None else run[3] / 1024)

    @property
    def is_sound(self):
        """Whether its time may be put against another's."""
        return bool(self.runs) and not self.state.startswith(("DIFFERENT", "failed"))


def ratio(row, other, measure):
    """How many times what the other takes; nothing where either is missing, wrong, or too quick to be told."""
    if not (row.is_sound and other.is_sound):
        return None
    taken, by_other = getattr(row, measure), getattr(other, measure)
    return taken / by_other if taken and by_other else None


def read(rows, samples):
    runs = collections.defaultdict(list)
    for line in open(samples):
        name, *numbers = line.rstrip("\n").split("\t")
        runs[name].append([float(number) if number else None for number in numbers])
    parsed = (line.rstrip("\n").split("\t") for line in open(rows))
    return {name: Row(*fields, runs[name]) for name, *fields in parsed}


def shown(value, form):
    return "" if value is None else format(value, form)


def table(rows):
    yield "| what | wall s | CPU s/GB | peak MiB | times | as long as | output | runs |"
    yield "|---|--:|--:|--:|--:|---|---|--:|"
    for row in rows.values():
        reference = rows.get(row.reference)
        times = ratio(row, reference, "wall") if reference else None
        numbers = [shown(row.wall, ".3f"), shown(row.cpu_per_gb, ".2f"), shown(row.peak, ".1f"), shown(times, ".2f")]
        yield f"| {row.label} | {' | '.join(numbers)} | {reference.label if times else ''} | {row.state} | {len(row.runs) or ''} |"


def verdict(measured, which, limit):
    if measured is None:
        return "not measured"
    return "met" if (measured <= limit if which == "most" else measured >= limit) else "not met"


def goals(rows):
    yield "| goal | measured | |"
    yield "|---|--:|---|"
    for label, measure, name, other, which, limit in GOALS:
        measured = ratio(rows[name], rows[other], measure)
        yield f"| {label} | {shown(measured, '.2f')} | {verdict(measured, which, limit)} |"
    ours = [row for name, row in rows.items() if name.startswith("split-")]
    peaks = [run[3] / 1024 for row in ours for run in row.runs if run[3] is not None]
    most = max(peaks, default=None)
    # Every run, not their median: a ceiling is a ceiling.
    yield f"| peak memory of every run of `fhirline`, at most {PEAK_MIB} MiB | {shown(most, '.1f')} | {verdict(most, 'most', PEAK_MIB)} |"


def main():
    rows = read(*sys.argv[1:])
    print("\n".join(table(rows)))
    print("\n## Goals\n")
    print("\n".join(goals(rows)))


main()
