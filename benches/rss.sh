#!/usr/bin/env bash
# Peak resident memory of the release binary over inputs and options that could break the ceiling: prints a table, fails
# if a run passes its ceiling. Needs GNU time, gzip, zstd, xz and bzip2, and some 12 GiB under TMPDIR.
#
#   benches/rss.sh [BYTES]      # size of the ordinary export; 1 GiB unless given
#
# WORK may name a folder that keeps the inputs for the next time, FHIRLINE and MAKE_SAMPLE binaries that are built
# already, CORPUS another export of ordinary lines, ONLY one of the groups of runs at the end of this script.
set -euo pipefail

bytes=${1:-1073741824}
if [ -z "${FHIRLINE:-}" ] || [ -z "${MAKE_SAMPLE:-}" ]; then
    cargo build --quiet --release --bin fhirline
    cargo build --quiet --release --package fhirline --example make_sample
    target=$(cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
    FHIRLINE=$target/release/fhirline MAKE_SAMPLE=$target/release/examples/make_sample
fi
if [ -n "${WORK:-}" ]; then
    work=$WORK
else
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
fi
failed=0

# ---- inputs -------------------------------------------------------------------------------------------------------

# long_line MIB: one good record of that many MiB, without its line end
long_line() {
    printf '{"resourceType":"Binary","data":"'
    head -c "$(($1 << 20))" /dev/zero | tr '\0' A
    printf '"}'
}

make_inputs() {
    "$MAKE_SAMPLE" "$bytes" "$work/export" --broken --binary 10000000 2> /dev/null
    gzip -1 < "$work/export" > "$work/export.gz"
    zstd -q -3 "$work/export" -o "$work/export.zst"
    head -c $((bytes / 4)) "$work/export" > "$work/quarter"
    head -c $((bytes / 16)) "$work/export" > "$work/slice"
    zstd -q -19 "$work/slice" -o "$work/slice.19.zst"
    zstd -q --long=24 "$work/slice" -o "$work/slice.24.zst"
    zstd -q --long=23 "$work/quarter" -o "$work/quarter.23.zst"
    zstd -q --long=27 "$work/quarter" -o "$work/quarter.27.zst"
    xz -6 < "$work/slice" > "$work/slice.xz"
    bzip2 -9 < "$work/quarter" > "$work/quarter.bz2"
    # Lines of 3 MiB are held, lines of 15 MiB are spooled.
    for _ in $(seq 200); do long_line 3; echo; done > "$work/lines3"
    for _ in $(seq 40); do long_line 15; echo; done > "$work/lines15"
    for _ in $(seq 40); do long_line 15; echo; head -c 3000000 "$work/export" | tail -n +2 | sed '$d'; done > "$work/mixed15"
    gzip -1 < "$work/mixed15" > "$work/mixed15.gz"
    (long_line 2048; echo) > "$work/line2048"
    # `yes` ends by a broken pipe.
    (yes x || true) | head -c $((256 << 20)) > "$work/flood"
    # Names of types are letters only.
    local name='function name(n) { return sprintf("Type%c%c%c", 97 + n / 676 % 26, 97 + n / 26 % 26, 97 + n % 26) }'
    awk "$name"'BEGIN { for (i = 0; i < 600000; i++) printf "{\"resourceType\":\"%s\",\"id\":\"%0400d\"}\n", name(i % 5000), i }' \
        > "$work/types"
    awk "$name"'BEGIN { for (i = 0; i < 400000; i++) printf "{\"resourceType\":\"%s\",\"id\":\"%0600d\"}\n", name(int(i / 2000)), i }' \
        > "$work/turns"
    mkdir "$work/many"
    awk -v d="$work/many" 'BEGIN { for (i = 0; i < 20000; i++) { f = sprintf("%s/export-%06d.ndjson", d, i);
        printf "{\"resourceType\":\"Patient\",\"id\":\"%d\"}\n", i > f; close(f) } }'
    make_row
}

# Sources of all kinds in a row, most of them gzip.
make_row() {
    local number=0 piece
    mkdir "$work/row"
    (cd "$work/row" && split -C 1500000 -a 4 "$work/slice" piece-)
    for piece in "$work"/row/piece-*; do
        number=$((number + 1))
        case $((number % 9)) in
            1) split -C 65000 --filter='gzip -6' "$piece" > "$piece.ndjson.gz" ;;
            3) split -C 400000 --filter='gzip -6' "$piece" > "$piece.ndjson.gz" ;;
            5) zstd -q -19 "$piece" -o "$piece.ndjson.zst" ;;
            7) xz -6 < "$piece" > "$piece.ndjson.xz" ;;
            8) mv "$piece" "$piece.ndjson" && continue ;;
            *) gzip -6 < "$piece" > "$piece.ndjson.gz" ;;
        esac
        rm "$piece"
    done
}

# ---- runs ---------------------------------------------------------------------------------------------------------

# run CEILING_MIB NAME ARGS...
run() {
    local ceiling=$1 name=$2 status=0
    shift 2
    rm -rf "$work/out"
    /usr/bin/time -f '%M %e' -o "$work/time" "$FHIRLINE" split -o "$work/out" -q --progress never \
        --durability none --memory "${ceiling}MiB" "$@" 2> "$work/said" || status=$?
    local peak seconds
    read -r peak seconds < <(tail -n 1 "$work/time")
    awk -v name="$name" -v ceiling="$ceiling" -v peak="$peak" -v seconds="$seconds" -v status="$status" \
        'BEGIN { printf "| %s | %d | %.1f | %s | %d |\n", name, ceiling, peak / 1024, seconds, status }'
    # 3: records in quarantine.
    if [ "$status" != 0 ] && [ "$status" != 3 ]; then
        sed 's/^/    /' "$work/said"
        failed=1
    elif [ "$peak" -ge $((ceiling << 10)) ]; then
        echo '    ^ above its ceiling'
        failed=1
    fi
}

ordinary() {
    for threads in 1 2 4 8 16; do run 64 "plain, $threads threads" "$work/export" --threads "$threads"; done
    if [ -n "${CORPUS:-}" ]; then run 64 'the other corpus, plain' "$CORPUS"; fi
    run 64 'gzip in' "$work/export.gz"
    run 64 'zstd -3 in' "$work/export.zst"
    run 64 'zstd -19 in' "$work/slice.19.zst"
    run 64 'zstd --long=23 in' "$work/quarter.23.zst"
    run 64 'xz in' "$work/slice.xz"
    run 64 'bzip2 in' "$work/quarter.bz2"
    run 64 'standard input' - < "$work/quarter"
}

compressed() {
    for threads in 1 2 8 16; do
        run 64 "gzip out, $threads threads" "$work/quarter" --compress gzip --threads "$threads"
        # With 16 threads 64 MiB do not do for every level of zstd.
        run $((threads > 8 ? 96 : 64)) "zstd level 3 out, $threads threads" "$work/quarter" --compress zstd \
            --threads "$threads"
        for level in 1 9; do
            run 96 "zstd level $level out, $threads threads" "$work/slice" --compress zstd --level "$level" \
                --threads "$threads"
        done
    done
    run 96 'zstd level 19 out, 8 threads' "$work/slice" --compress zstd --level 19 --threads 8
    run 64 'zstd --long=23 in, zstd level 9 out' "$work/quarter.23.zst" --compress zstd --level 9
}

shapes() {
    for threads in 1 2 8; do
        run 64 "lines of 3 MiB, $threads threads" "$work/lines3" --threads "$threads"
        run 64 "lines of 15 MiB, $threads threads" "$work/lines15" --threads "$threads"
        run 64 "lines of 15 MiB among others, $threads threads" "$work/mixed15" --threads "$threads"
        run 64 "lines of 15 MiB among others, gzip in, zstd out, $threads threads" "$work/mixed15.gz" \
            --compress zstd --threads "$threads"
        run 64 "one line of 2 GiB, $threads threads" "$work/line2048" --threads "$threads"
        run 64 "256 MiB of x and line end, $threads threads" "$work/flood" --threads "$threads"
        run 64 "5,000 types, $threads threads" "$work/types" --threads "$threads"
        run 64 "5,000 types, gzip out, $threads threads" "$work/types" --compress gzip --threads "$threads"
        run 64 "5,000 types, zstd out, $threads threads" "$work/types" --compress zstd --threads "$threads"
        run 64 "200 types one after the other, zstd out, $threads threads" "$work/turns" --compress zstd \
            --threads "$threads"
        run 64 "plain, then zstd --long=24, then lines of 15 MiB, $threads threads" "$work/quarter" \
            "$work/slice.24.zst" "$work/mixed15" --threads "$threads"
        run 64 "20,000 files, $threads threads" "$work/many" --threads "$threads"
    done
    run 64 'files of 64 KiB' "$work/quarter" --max-file-bytes 64KiB
}

sources() {
    for threads in 2 4 8 16; do
        run 64 "a row of compressed sources, $threads threads" "$work/row" --threads "$threads"
        run 64 "a row of compressed sources, gzip out, $threads threads" "$work/row" --compress gzip --threads "$threads"
    done
    for threads in 4 8; do
        run 64 "a row of compressed sources, zstd out, $threads threads" "$work/row" --compress zstd --threads "$threads"
        least "a row of compressed sources, $threads threads" 8 "$work/row" --threads "$threads"
        least "a row of compressed sources, gzip out, $threads threads" 8 "$work/row" --compress gzip --threads "$threads"
        least "a row of compressed sources, zstd out, $threads threads" 8 "$work/row" --compress zstd --threads "$threads"
    done
}

ceilings() {
    for ceiling in 48 128 1024; do
        run "$ceiling" 'plain' "$work/export"
        run "$ceiling" 'lines of 15 MiB among others' "$work/mixed15"
    done
    for ceiling in 128 1024; do
        run "$ceiling" 'zstd out' "$work/quarter" --compress zstd
        run "$ceiling" 'gzip in, gzip out, 16 threads' "$work/export.gz" --compress gzip --threads 16
    done
}

# least NAME MIB INPUT ARGS...: a ceiling that is too low names one that does; that one must do
least() {
    local name=$1 low=$2 input=$3 named
    shift 3
    rm -rf "$work/out"
    "$FHIRLINE" split "$input" -o "$work/out" -q --memory "${low}MiB" "$@" 2> "$work/said" && failed=1
    named=$(grep -oE '(at least|--memory) [0-9]+ ?MiB' "$work/said" | grep -oE '[0-9]+' | tail -n 1)
    run "$named" "$name, at the least that $low MiB named" "$input" "$@"
}

refusals() {
    least 'plain' 8 "$work/export"
    least 'plain, 16 threads' 8 "$work/export" --threads 16
    least 'gzip out' 8 "$work/quarter" --compress gzip
    least 'gzip out, 16 threads' 8 "$work/quarter" --compress gzip --threads 16
head -c $((16 << 20)) "$work/slice" | sed '$d' > "$work/bit"
    least 'zstd level 19 out' 8 "$work/bit" --compress zstd --level 19
    least 'lines of 15 MiB' 8 "$work/mixed15"
    least 'lines of 15 MiB, zstd out' 8 "$work/mixed15.gz" --compress zstd
    least 'zstd --long=27 in' 64 "$work/quarter.27.zst"
    least 'zstd --long=27 in, zstd out' 64 "$work/quarter.27.zst" --compress zstd
}

[ -e "$work/made" ] || { make_inputs && touch "$work/made"; }
echo '| run | ceiling MiB | peak MiB | s | status |'
echo '|---|---:|---:|---:|---:|'
for group in ${ONLY:-ordinary compressed shapes sources ceilings refusals}; do "$group"; done
exit "$failed"
