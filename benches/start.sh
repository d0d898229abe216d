#!/usr/bin/env bash
# How long fhirline takes to begin: `--help`, and a split of 1 KiB, beside a program that does nothing. Prints medians and
# the size of the binary.
#
#   benches/start.sh            of a release build of the default features
#   BINARY=path benches/start.sh
#
# Environment: RUNS (repeats of each row, 200), WORK (a folder for the output; default: a new one under TMPDIR).
# Needs a Rust toolchain unless BINARY is given, bash and python3.
set -euo pipefail
export LC_ALL=C

cd "$(dirname "${BASH_SOURCE[0]}")/.."

RUNS=${RUNS:-200}
if [ -z "${BINARY:-}" ]; then
    cargo build --quiet --release --bin fhirline
    BINARY=$(cargo metadata --no-deps --format-version 1 |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')/release/fhirline
fi
work=$(mktemp -d ${WORK:+-p "$WORK"})
trap 'rm -rf "$work"' EXIT

python3 - "$BINARY" "$work" "$RUNS" << 'PYTHON'
import os, shutil, statistics, subprocess, sys, time

binary, work, runs = sys.argv[1], sys.argv[2], int(sys.argv[3])
source, out = os.path.join(work, "in.ndjson"), os.path.join(work, "out")
with open(source, "w") as lines:
    for number in range(16):
        lines.write('{"resourceType":"Patient","id":"%05d","gender":"unknown"}\n' % number)
split = [binary, "split", source, "-o", out, "-q", "--progress", "never"]
rows = [
    ("`true`", ["true"]),
    ("`fhirline --help`", [binary, "--help"]),
    ("`fhirline split --durability none` of 1 KiB", split + ["--durability", "none"]),
    ("`fhirline split` of 1 KiB", split),
]
seconds = {name: [] for name, _ in rows}
for _ in range(runs):
    for name, command in rows:
        shutil.rmtree(out, ignore_errors=True)
        begun = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds[name].append(time.perf_counter() - begun)
print("binary of %.1f MiB, input of %d bytes, medians of %d runs in turns"
      % (os.path.getsize(binary) / 2**20, os.path.getsize(source), runs))
print("\n| what | ms | 90th percentile |\n|---|--:|--:|")
for name, _ in rows:
    found = sorted(seconds[name])
    print("| %s | %.1f | %.1f |" % (name, 1e3 * statistics.median(found), 1e3 * found[len(found) * 9 // 10]))
PYTHON
