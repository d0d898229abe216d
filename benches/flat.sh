#!/usr/bin/env bash
# Peak resident memory against the size of the input (16 MiB to 4 GiB) and against the length of a line (1 KiB to 1 GiB),
# with the default ceiling: prints a table, draws it as an SVG, fails if a run passes the ceiling. Needs GNU time and some
# 9 GiB under TMPDIR.
#
#   benches/flat.sh [SVG]       # docs/flat-memory.svg unless given
#
# FHIRLINE and MAKE_SAMPLE may name binaries that are built already.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
svg=${1:-docs/flat-memory.svg}
ceiling_mib=64
if [ -z "${FHIRLINE:-}" ] || [ -z "${MAKE_SAMPLE:-}" ]; then
    cargo build --quiet --release --bin fhirline
    cargo build --quiet --release --package fhirline --example make_sample
    target=$(cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
    FHIRLINE=$target/release/fhirline MAKE_SAMPLE=$target/release/examples/make_sample
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# peak_kib FILE: of splitting it
peak_kib() {
    local status=0
    rm -rf "$work/out"
    /usr/bin/time -f %M -o "$work/time" "$FHIRLINE" split "$1" -o "$work/out" -q --progress never \
        --durability none --memory "${ceiling_mib}MiB" 2> "$work/said" || status=$?
    if [ "$status" != 0 ] && [ "$status" != 3 ]; then
        cat "$work/said" >&2
        exit 1
    fi
    tail -n 1 "$work/time"
}

# of_lines BYTES TOTAL: records of that length, as many as make up the total, at least one
of_lines() {
    local text=$(($1 - 36)) lines=$(($2 / $1))
    for _ in $(seq $((lines > 0 ? lines : 1))); do
        printf '{"resourceType":"Binary","data":"'
        head -c "$text" /dev/zero | tr '\0' A
        printf '"}\n'
    done
}

measure() {
    for mib in 16 64 256 1024 4096; do
        "$MAKE_SAMPLE" $((mib << 20)) "$work/export" --broken 2> /dev/null
        echo "size $((mib << 20)) $(peak_kib "$work/export")"
    done
    rm "$work/export"
    for kib in 1 16 256 1024 3072 16384 65536 262144 1048576; do
        of_lines $((kib << 10)) $((kib < 64 ? 16 << 20 : 256 << 20)) > "$work/lines"
        echo "line $((kib << 10)) $(peak_kib "$work/lines")"
    done
}

measure > "$work/points"
awk '{ printf "| %s | %d KiB | %.1f MiB |\n", ($1 == "size" ? "input" : "line"), $2 / 1024, $3 / 1024 }' "$work/points"

awk -v ceiling="$ceiling_mib" '
    function x(bytes) { return left + width * (log(bytes) - low) / (high - low) }
    function y(mib) { return 250 - 200 * mib / 80 }
    function name(bytes) {
        if (bytes >= 1073741824) return bytes / 1073741824 " GiB"
        if (bytes >= 1048576) return bytes / 1048576 " MiB"
        return bytes / 1024 " KiB"
    }
    function panel(kind, title, from, to, step,    b, n, i, path) {
        low = log(from); high = log(to)
        printf "<text x=\"%d\" y=\"30\" class=\"title\">%s</text>\n", left, title
        for (n = 0; n <= 80; n += 20) {
            printf "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" class=\"grid\"/>", left, left + width, y(n), y(n)
            printf "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%d MiB</text>\n", left - 6, y(n) + 4, n
        }
        for (b = from; b <= to; b *= step)
            printf "<text x=\"%.1f\" y=\"270\" text-anchor=\"middle\">%s</text>\n", x(b), name(b)
        printf "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" class=\"ceiling\"/>\n", left, left + width, y(ceiling), y(ceiling)
        for (i = 1; i <= points; i++) if (of[i] == kind) {
            path = path sprintf("%.1f,%.1f ", x(at[i]), y(mib[i]))
            printf "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\"><title>%s: %.1f MiB</title></circle>\n", x(at[i]), y(mib[i]), name(at[i]), mib[i]
        }
        printf "<polyline points=\"%s\"/>\n", path
    }
    { points++; of[points] = $1; at[points] = $2; mib[points] = $3 / 1024 }
    END {
        print "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 960 290\" font-family=\"sans-serif\" font-size=\"11\">"
        print "<style>.title{font-size:14px}.grid{stroke:#ddd}.ceiling{stroke:#c33;stroke-dasharray:5 4}polyline{fill:none;stroke:#258}circle{fill:#258}</style>"
        print "<rect width=\"960\" height=\"290\" fill=\"#fff\"/>"
        width = 380; left = 70
        panel("size", "Peak resident memory by size of the input (ceiling: dashed)", 16777216, 4294967296, 4)
        left = 550
        panel("line", "by length of a line", 1024, 1073741824, 32)
        print "</svg>"
    }' "$work/points" > "$svg"

awk -v ceiling="$ceiling_mib" '$3 >= ceiling * 1024 { print "above the ceiling: " $0; failed = 1 } END { exit failed }' "$work/points"
