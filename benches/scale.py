#!/usr/bin/env python3
"""How `fhirline split` grows: with the size of the input, the number of files, of types, and the length of a line.

    benches/scale.py                 all curves; writes docs/images/scale.svg and the table in docs/performance.md
    MAX_GIB=16 benches/scale.py      with inputs of up to 16 GiB (4 unless said), which need twice that much room

Each point is split RUNS times (3 unless said) in turns with `cat FILES > OUT`, with `--durability none`; medians are kept. What was written
before is removed and the disk synced before each, or the one would wait for the other's writes. FHIRLINE
and MAKE_SAMPLE may name binaries that are built already, WORK a folder with room. Needs a Rust toolchain, python3 and a Unix.
"""

import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUNS = int(os.environ.get("RUNS", "3"))
MAX_GIB = float(os.environ.get("MAX_GIB", "4"))
MIB = 1 << 20
MARK = "<!-- what benches/scale.py printed -->"


def built():
    """The program, and the one that makes exports."""
    if "FHIRLINE" in os.environ and "MAKE_SAMPLE" in os.environ:
        return os.environ["FHIRLINE"], os.environ["MAKE_SAMPLE"]
    cargo = ["cargo", "build", "--quiet", "--release"]
    subprocess.run([*cargo, "--bin", "fhirline"], cwd=ROOT, check=True)
    subprocess.run([*cargo, "--package", "fhirline", "--example", "make_sample"], cwd=ROOT, check=True)
    told = subprocess.run(["cargo", "metadata", "--no-deps", "--format-version", "1"], cwd=ROOT, check=True, capture_output=True)
    release = Path(json.loads(told.stdout)["target_directory"]) / "release"
    return str(release / "fhirline"), str(release / "examples" / "make_sample")


def measured(command, **options):
    """Wall seconds, CPU seconds and peak MiB of a command."""
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 3):
        sys.exit(f"{command[0]} ended with status {process.returncode}")
    peak_kib = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return time.monotonic() - began, usage.ru_utime + usage.ru_stime, peak_kib / 1024


def point(fhirline, work, sources, kept):
    """Medians of `cat` (wall) and of the split (wall, CPU, MiB). Outputs go to new folders in `kept`, if one is given."""
    cats, splits = [], []
    for _ in range(RUNS):
        out = Path(tempfile.mkdtemp(dir=kept)) / "out" if kept else work / "out"
        shutil.rmtree(out, ignore_errors=True)
        os.sync()
        with open(work / "copy", "wb") as copy:
            began = time.monotonic()
            for at in range(0, len(sources), 1000):
                subprocess.run(["cat", *sources[at : at + 1000]], stdout=copy, check=True)
            cats.append(time.monotonic() - began)
        (work / "copy").unlink()
        os.sync()
        # A folder stands for its files: ten thousand names do not fit on a command line.
        source = sources if len(sources) == 1 else [str(Path(sources[0]).parent)]
        options = ["-o", str(out), "-q", "--progress", "never", "--durability", "none"]
        splits.append(measured([fhirline, "split", *source, *options]))
    shutil.rmtree(work / "out", ignore_errors=True)
    return (statistics.median(cats), *(statistics.median(run[at] for run in splits) for at in range(3)))


def sample(make_sample, path, size):
    subprocess.run([make_sample, str(size), str(path)], check=True, stderr=subprocess.DEVNULL)


def sizes(make_sample, work):
    mib = 16
    while mib <= MAX_GIB * 1024:
        sample(make_sample, work / "export", mib * MIB)
        yield mib * MIB, [str(work / "export")]
        mib *= 4


def files(make_sample, work):
    sample(make_sample, work / "export", 256 * MIB)
    for count in (1, 10, 100, 1000, 10000):
        folder = work / "files"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        spread(work / "export", folder, 256 * MIB // count)
        yield count, [str(path) for path in sorted(folder.iterdir())]
    shutil.rmtree(folder)


def spread(export, folder, share):
    """The lines of an export in files of about so many bytes. None of it is kept: what this process holds is taken for the
    child's by the kernel, which counts from before it becomes another program."""
    number, room, file = 0, 0, None
    with open(export, "rb") as lines:
        for line in lines:
            if room <= 0:
                if file:
                    file.close()
                file = open(folder / f"{number:05}.ndjson", "wb")
                number, room = number + 1, share
            file.write(line)
            room -= len(line)
    file.close()


def types(_, work):
    letters = "abcdefghijklmnopqrstuvwxyz"
    text = "x" * 900
    for count in (1, 10, 100, 500, 2000):
        with open(work / "export", "w") as export:
            for number in range(256 * MIB // 960):
                place = number * 7919 % count
                name = "T" + letters[place // 676 % 26] + letters[place // 26 % 26] + letters[place % 26]
                export.write(f'{{"resourceType":"{name}","id":"{number}","text":"{text}"}}\n')
        yield count, [str(work / "export")]


def lengths(_, work):
    for length in (100, 1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000):
        with open(work / "export", "wb") as export:
            for _ in range(max(1, 256 * MIB // length)):
                export.write(b'{"resourceType":"Binary","data":"')
                for at in range(0, length - 36, 1 << 16):
                    export.write(b"QUJD" * ((min(1 << 16, length - 36 - at)) // 4))
                export.write(b'"}\n')
        yield length, [str(work / "export")]


# Types come first and their outputs stay until the end: ext4 searches long for a place for a new file where many were removed in the
# last minutes, which would be measured in place of the split.
CURVES = [
    ("types", "types in 256 MiB", types),
    ("size", "bytes of input", sizes),
    ("files", "files of 256 MiB in all", files),
    ("length", "bytes a line, 256 MiB in all", lengths),
]


def short(number):
    """A number as people write it."""
    for unit, name in ((1 << 30, " GiB"), (MIB, " MiB")):
        if number >= unit and number % unit == 0:
            return f"{number // unit}{name}"
    return f"{number:,}"


def table(curves):
    rows = ["| what grows | to | input MB | `cat` s | wall s | times `cat` | CPU s/GB | peak MiB |", "|---|--:|--:|--:|--:|--:|--:|--:|"]
    for (_, label, _), points in curves:
        for at, stored, (cat, wall, cpu, peak) in points:
            rows.append(
                f"| {label} | {short(at)} | {stored / 1e6:,.0f} | {cat:.2f} | {wall:.2f} | {wall / cat:.1f} | "
                f"{cpu / (stored / 1e9):.2f} | {peak:.1f} |"
            )
    return "\n".join(rows)


def panel(left, top, label, points, value, unit):
    """One small plot: points on a logarithmic scale across, from 0 upwards."""
    low, high = math.log(points[0][0]), math.log(points[-1][0])
    most = max(value(each) for each in points) * 1.25
    x = lambda at: left + 200 * (math.log(at) - low) / ((high - low) or 1)
    y = lambda of: top + 130 - 120 * of / most
    parts = [f'<text x="{left}" y="{top - 6}">{label}</text>']
    for of in (0, most / 2, most):
        parts.append(f'<line x1="{left}" x2="{left + 200}" y1="{y(of):.1f}" y2="{y(of):.1f}" class="grid"/>')
        parts.append(f'<text x="{left - 4}" y="{y(of) + 4:.1f}" text-anchor="end">{of:.3g}{unit}</text>')
    way = " ".join(f"{x(each[0]):.1f},{y(value(each)):.1f}" for each in points)
    parts.append(f'<polyline points="{way}"/>')
    for each in points:
        parts.append(f'<circle cx="{x(each[0]):.1f}" cy="{y(value(each)):.1f}" r="2.5"><title>{short(each[0])}: {value(each):.3g}{unit}</title></circle>')
    for at, anchor in ((points[0][0], "start"), (points[-1][0], "end")):
        parts.append(f'<text x="{x(at):.1f}" y="{top + 145}" text-anchor="{anchor}">{short(at)}</text>')
    return "".join(parts)


def picture(curves):
    values = [
        ("wall, MB/s", lambda each: each[1] / 1e6 / each[2][1], ""),
        ("CPU, s/GB", lambda each: each[2][2] / (each[1] / 1e9), ""),
        ("peak, MiB", lambda each: each[2][3], ""),
    ]
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1060 620" font-family="sans-serif" font-size="10">',
        "<style>.grid{stroke:#ddd}polyline{fill:none;stroke:#258}circle{fill:#258}</style>",
        '<rect width="1060" height="620" fill="#fff"/>',
    ]
    for column, ((_, label, _), points) in enumerate(curves):
        for row, (name, value, unit) in enumerate(values):
            parts.append(panel(50 + 260 * column, 40 + 200 * row, f"{name} by {label}", points, value, unit))
    return "".join(parts) + "</svg>\n"


def machine():
    model = platform = os.uname().machine
    if Path("/proc/cpuinfo").exists():
        names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        model = names[0].split(":", 1)[1].strip() if names else platform
    return f"{time.strftime('%Y-%m-%d')}, {model}, {os.cpu_count()} cores, {os.uname().sysname} {os.uname().release}"


def main():
    fhirline, make_sample = built()
    curves = []
    with tempfile.TemporaryDirectory(dir=os.environ.get("WORK")) as folder:
        work = Path(folder)
        (work / "kept").mkdir()
        for curve in CURVES:
            points = []
            kept = work / "kept" if curve[0] == "types" else None
            for at, sources in curve[2](make_sample, work):
                stored = sum(os.path.getsize(source) for source in sources)
                points.append((at, stored, point(fhirline, work, sources, kept)))
                print(curve[0], at, points[-1][2], file=sys.stderr)
            curves.append((curve, points))
    page = ROOT / "docs" / "performance.md"
    head, _, rest = page.read_text().partition(MARK)
    _, _, tail = rest.partition(MARK)
    page.write_text(f"{head}{MARK}\n\n{machine()}; medians of {RUNS}.\n\n{table(curves)}\n\n{MARK}{tail}")
    (ROOT / "docs" / "images" / "scale.svg").write_text(picture(curves))


main()
