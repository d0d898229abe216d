#!/usr/bin/env bash
# The whole-program table: fhirline beside the tools that a user would otherwise run, on one export, in one run, on one
# machine. Prints a Markdown table and keeps it in benches/results/.
#
#   benches/compare.sh                      on a generated export of 512 MiB
#   INPUT=export.ndjson benches/compare.sh  on a plain NDJSON file of your own
#
# Environment: BYTES (size of the generated export), RUNS (repeats, 5), WORK (a folder with room for four times the
# input; default: a new one under TMPDIR), THREADS (of fhirline; default: its own choice), RESULTS (folder).
#
# Method: every row runs once a round, and the rounds are repeated, so that a slow minute of the machine hits all rows;
# the median is reported. The input is in the page cache. Outputs are removed, and the disk is synced, before each
# measurement. Counts by type of every tool that yields them are compared with fhirline's manifest. Missing tools keep
# their row. Needs a Rust toolchain, bash and python3; peak memory needs GNU time.
set -euo pipefail
export LC_ALL=C

cd "$(dirname "${BASH_SOURCE[0]}")/.."

BYTES=${BYTES:-536870912}
RUNS=${RUNS:-5}
RESULTS=${RESULTS:-benches/results}
have() { command -v "$1" > /dev/null 2>&1; }
cpus=$(getconf _NPROCESSORS_ONLN)

if [ -n "${WORK:-}" ]; then
    work=$(mktemp -d "$WORK/fhirline-compare.XXXXXX")
else
    work=$(mktemp -d)
fi
trap 'rm -rf "$work"' EXIT
mkdir "$work/out"

# ---- small programs -------------------------------------------------------------------------------------------------

# What somebody writes in an afternoon: parse each line, append it to the file of its type.
cat > "$work/split.py" << 'PYTHON'
import json, os, sys
source, out = sys.argv[1:]
files = {}
with open(source, "rb") as lines:
    for line in lines:
        kind = json.loads(line)["resourceType"]
        if kind not in files:
            files[kind] = open(os.path.join(out, kind + ".ndjson"), "wb")
        files[kind].write(line)
for file in files.values():
    file.close()
PYTHON

# Each line as it is, in one folder a type: CSV without quotes, and a delimiter that no JSON text holds.
cat > "$work/duck.py" << 'PYTHON'
import sys, duckdb
source, out = sys.argv[1:]
duckdb.sql("SET preserve_insertion_order = false")
duckdb.sql(f"""
    COPY (SELECT json, json->>'$.resourceType' AS kind
          FROM read_ndjson_objects('{source}', maximum_object_size = 268435456))
    TO '{out}' (FORMAT csv, HEADER false, DELIMITER e'\\x01', QUOTE '', ESCAPE '',
                PARTITION_BY (kind), FILE_EXTENSION 'ndjson', OVERWRITE_OR_IGNORE true)
""")
PYTHON

# Counts by type, as "TYPE COUNT" lines, of what a row left behind.
cat > "$work/counts.py" << 'PYTHON'
import collections, json, os, sys
how, where = sys.argv[1:]
counts = collections.Counter()
if how == "manifest":
    with open(os.path.join(where, "manifest.json")) as manifest:
        for output in json.load(manifest)["output"]:
            counts[output["type"]] += output["count"]
elif how == "uniq":
    with open(where) as lines:
        for line in lines:
            count, kind = line.split()
            counts[kind] += int(count)
else:
    for folder, _, names in os.walk(where):
        for name in names:
            kind = os.path.basename(folder).removeprefix("kind=") if how == "folders" else name.split(".")[0]
            with open(os.path.join(folder, name), "rb") as file:
                counts[kind] += sum(1 for _ in file)
for kind in sorted(counts):
    print(kind, counts[kind])
PYTHON

# rows.tsv: id, label, reference, state; samples.tsv: id, wall, user, sys, peak KiB.
cat > "$work/table.py" << 'PYTHON'
import collections, statistics, sys
rows, samples, size = sys.argv[1], sys.argv[2], int(sys.argv[3]) / 1e9
runs = collections.defaultdict(list)
for line in open(samples):
    name, *numbers = line.rstrip("\n").split("\t")
    runs[name].append([float(number) if number else None for number in numbers])
rows = [line.rstrip("\n").split("\t") for line in open(rows)]
labels = {name: label for name, label, _, _ in rows}
def median(name, pick):
    values = [pick(run) for run in runs.get(name, [])]
    return statistics.median(values) if values and None not in values else None
wall = lambda name: median(name, lambda run: run[0])
show = lambda value, form: "" if value is None else format(value, form)
print("| what | wall s | CPU s/GB | peak MiB | times | as long as | counts by type |")
print("|---|--:|--:|--:|--:|---|---|")
for name, label, reference, state in rows:
    cpu = median(name, lambda run: run[1] + run[2])
    peak = median(name, lambda run: None if run[3] is None else run[3] / 1024)
    ratio = wall(name) / wall(reference) if wall(name) and wall(reference) else None
    print("|", label, "|", show(wall(name), ".3f"), "|", show(cpu and cpu / size, ".2f"), "|", show(peak, ".1f"), "|",
          show(ratio, ".2f"), "|", labels[reference] if ratio else "", "|", state, "|")
PYTHON

# ---- the program and its input --------------------------------------------------------------------------------------

cargo build --quiet --release --bin fhirline
target=$(cargo metadata --no-deps --format-version 1 |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
fhirline=$target/release/fhirline

if [ -n "${INPUT:-}" ]; then
    input=$INPUT
    described="a file of the user's"
else
    input=$work/in.ndjson
    described="generated by make_sample, seed 1, with one Binary of 2 MiB"
    cargo run --quiet --release --package fhirline --example make_sample -- \
        "$BYTES" "$input" --binary 2097152 2> "$work/sample.log" || { cat "$work/sample.log" >&2; exit 1; }
fi
size=$(wc -c < "$input" | tr -d ' ')
cat "$input" > /dev/null
have gzip && gzip -6 -c "$input" > "$work/in.gz"
have zstd && zstd -q -3 -c "$input" > "$work/in.zst"

# ---- rows -----------------------------------------------------------------------------------------------------------

ids=() labels=() references=() tools=() commands=() checks=() states=()

# row ID LABEL REFERENCE TOOL CHECK COMMAND: a dash stands for none.
row() {
    ids+=("$1") labels+=("$2") references+=("$3") tools+=("$4") checks+=("$5") commands+=("$6") states+=("")
}

# A path as one word of a shell command.
quoted() { printf '%q' "$1"; }

in=$(quoted "$input")
out=$(quoted "$work/out")
gz=$(quoted "$work/in.gz")
zst=$(quoted "$work/in.zst")
split="$(quoted "$fhirline") split -q --progress never${THREADS:+ --threads $THREADS} -o $out/split"
label="fhirline split${THREADS:+ --threads $THREADS}"
inflate=gzip-dc
have igzip && inflate=igzip-dc
deflate=gzip
have pigz && deflate=pigz

row cat '`cat IN > OUT`' - cat - "cat $in > $out/copy"
row cat-sync '`cat IN > OUT && sync OUT`' - gnu-sync - "cat $in > $out/copy && sync $out/copy"
row split-none "\`$label --durability none IN\`" cat - manifest "$split --durability none $in"
row split-seal "\`$label IN\`" cat-sync - manifest "$split $in"
row gzip '`gzip -c IN > OUT.gz`' - gzip - "gzip -c $in > $out/copy.gz"
row pigz '`pigz -c IN > OUT.gz`' - pigz - "pigz -c $in > $out/copy.gz"
row split-to-gz "\`$label --compress gzip IN\`" "$deflate" - manifest "$split --compress gzip $in"
row gzip-dc '`gzip -dc IN.gz > /dev/null`' - gzip - "gzip -dc $gz > /dev/null"
row igzip-dc '`igzip -dc IN.gz > /dev/null`' - igzip - "igzip -dc $gz > /dev/null"
row split-gz "\`$label --durability none IN.gz\`" "$inflate" gzip manifest "$split --durability none $gz"
row zstd-dc '`zstd -dc IN.zst > /dev/null`' - zstd - "zstd -q -dc $zst > /dev/null"
row split-zst "\`$label --durability none IN.zst\`" zstd-dc zstd manifest "$split --durability none $zst"
row jq '`jq -r .resourceType IN \| sort \| uniq -c` (counts only)' split-none jq uniq \
    "set -o pipefail; jq -r .resourceType $in | sort | uniq -c > $out/counts"
row python 'python, `json.loads` a line, one file a type' split-none python3 files \
    "python3 $(quoted "$work/split.py") $in $out"
row duckdb 'DuckDB, `read_ndjson_objects`, partitioned by type' split-none duckdb folders \
    "python3 $(quoted "$work/duck.py") $in $out"

# The state of a missing tool, or nothing.
missing() {
    case $1 in
        -) ;;
        gnu-sync) sync --version > /dev/null 2>&1 || echo 'not installed (`sync FILE` of GNU coreutils)' ;;
        duckdb) python3 -c 'import duckdb' 2> /dev/null || echo 'not installed (pip install duckdb)' ;;
        *) have "$1" || echo 'not installed' ;;
    esac
}

for n in "${!ids[@]}"; do
    states[n]=$(missing "${tools[n]}")
done

# ---- measuring ------------------------------------------------------------------------------------------------------

gnu_time=()
if /usr/bin/time -f %M true > /dev/null 2>&1; then
    gnu_time=(/usr/bin/time -q -f %M -o "$work/peak")
fi

# measure N: one run of row N, appended to samples.tsv. Status 3 of fhirline means complete, with quarantine.
measure() {
    local n=$1 status=0 wall user sys TIMEFORMAT='%3R %3U %3S'
    rm -rf "$work/out"
    mkdir "$work/out"
    : > "$work/peak"
    sync
    { time ${gnu_time[@]+"${gnu_time[@]}"} bash -c "${commands[n]}" > "$work/log" 2>&1; } 2> "$work/time" || status=$?
    if [ "$status" -ne 0 ] && ! { [ "${checks[n]}" = manifest ] && [ "$status" -eq 3 ]; }; then
        states[n]="failed with status $status"
        { echo "${ids[n]}: ${states[n]}"; tail -n 5 "$work/log"; } >&2
        return
    fi
    read -r wall user sys < <(tail -n 1 "$work/time")
    printf '%s\t%s\t%s\t%s\t%s\n' "${ids[n]}" "$wall" "$user" "$sys" "$(cat "$work/peak")" >> "$work/samples.tsv"
    check "$n"
}

# check N: the counts that row N left behind, against those of the first fhirline row.
check() {
    local n=$1 how=${checks[$1]} where=$work/out
    [ "$how" = - ] && return
    [ "$how" = manifest ] && where=$work/out/split
    [ "$how" = uniq ] && where=$work/out/counts
    python3 "$work/counts.py" "$how" "$where" > "$work/counts.new"
    if [ ! -e "$work/counts" ]; then
        mv "$work/counts.new" "$work/counts"
        states[n]="the measure: $(awk '{ n += $2 } END { printf "%d of %d types", n, NR }' "$work/counts")"
    elif [ "${states[n]}" = "" ] || [ "${states[n]}" = same ]; then
        states[n]=same
        cmp -s "$work/counts" "$work/counts.new" || states[n]=DIFFERENT
    fi
}

: > "$work/samples.tsv"
for ((round = 1; round <= RUNS; round++)); do
    echo "round $round of $RUNS" >&2
    for n in "${!ids[@]}"; do
        case ${states[n]} in
            'not installed'* | 'failed'*) ;;
            *) measure "$n" ;;
        esac
    done
done

# ---- the table ------------------------------------------------------------------------------------------------------

for n in "${!ids[@]}"; do
    printf '%s\t%s\t%s\t%s\n' "${ids[n]}" "${labels[n]}" "${references[n]}" "${states[n]}"
done > "$work/rows.tsv"

cpu_model() {
    if [ -r /proc/cpuinfo ] && grep -q '^model name' /proc/cpuinfo; then
        sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1
    else
        sysctl -n machdep.cpu.brand_string 2> /dev/null || uname -m
    fi
}

# version TOOL COMMAND...: the first line that it says of itself.
version() {
    have "$1" || return 0
    printf -- '- %s\n' "$("$@" 2>&1 | head -n 1)"
}

report() {
    local date
    date=$(date -u +%Y-%m-%d)
    printf '# Whole-program comparison, %s\n\n' "$date"
    printf -- '- input: %s bytes, %s; in the page cache\n' "$size" "$described"
    if [ -e "$work/in.gz" ]; then printf -- '- IN.gz: %s bytes (gzip -6)\n' "$(wc -c < "$work/in.gz" | tr -d ' ')"; fi
    if [ -e "$work/in.zst" ]; then printf -- '- IN.zst: %s bytes (zstd -3)\n' "$(wc -c < "$work/in.zst" | tr -d ' ')"; fi
    printf -- '- machine: %s, %s cores, %s\n' "$(cpu_model)" "$cpus" "$(uname -srm)"
    printf -- '- median of %s runs, rows interleaved; CPU is user + system, per GB of decoded input\n' "$RUNS"
    version "$fhirline" --version
    printf -- '- binary: %s bytes, built with default features; %s packages beside its own crates\n' \
        "$(wc -c < "$fhirline" | tr -d ' ')" \
        "$(cargo tree --locked --edges normal,build --prefix none | sed 's/ (.*//' | sort -u | grep -cv '^fhirline')"
    version rustc --version
    version gzip --version
    version igzip --version
    version pigz --version
    version zstd --version
    version jq --version
    version python3 --version
    python3 -c 'import duckdb; print("- duckdb", duckdb.__version__)' 2> /dev/null || true
    printf '\n'
    python3 "$work/table.py" "$work/rows.tsv" "$work/samples.tsv" "$size"
}

mkdir -p "$RESULTS"
report > "$work/report.md"
cp "$work/report.md" "$RESULTS/$(date -u +%Y-%m-%d)-${cpus}cpu.md"
cat "$work/report.md"
for state in "${states[@]}"; do
    case $state in
        DIFFERENT | failed*) echo "error: a row failed or counted differently" >&2; exit 1 ;;
    esac
done
