# The daily commands; `just` alone lists them. Nothing here is needed to build or test: `.ci/run` is the gate.

memory_bytes := "1073741824"
memory_binary_bytes := "2097152"

# list the recipes
default:
    @just --list

# everything the gate checks
ci:
    .ci/run

# put the code in form
fmt:
    cargo fmt --all
    cargo fmt --manifest-path examples/etl/Cargo.toml
    cargo fmt --manifest-path examples/models/Cargo.toml

# what clippy says, warnings denied
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --all-features -- -D warnings
    cargo fmt --manifest-path examples/etl/Cargo.toml --check
    cargo clippy --manifest-path examples/etl/Cargo.toml --all-targets -- -D warnings

# all tests, doc tests included; arguments go to cargo test
test *ARGS:
    cargo test --workspace --all-features {{ ARGS }}

# the example ETL and its tests, which start a PostgreSQL of their own; arguments go to cargo test
etl *ARGS:
    cargo test --manifest-path examples/etl/Cargo.toml {{ ARGS }}

# the one module with unsafe code and all that uses it, under AddressSanitizer (of the stable compiler, unlocked for that)
sanitize:
    RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address CARGO_TARGET_DIR=target/sanitize cargo test --package fhirline-parse --lib --target x86_64-unknown-linux-gnu

# the documentation, as the gate builds it
doc *ARGS:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --all-features --no-deps {{ ARGS }}

# the criterion benches of each step
bench *ARGS:
    cargo bench --workspace {{ ARGS }}

# the whole program against the tools a user would pick, kept in benches/results/; see the head of the script
compare *ARGS:
    benches/compare.sh {{ ARGS }}

# the tools that `compare` puts beside it, by package name
rivals:
    benches/rivals.sh

# the README's table of numbers, from the newest result of `compare`; --check only looks
readme *ARGS:
    benches/readme.py {{ ARGS }}

# the newcomer's first command
demo *ARGS:
    cargo run --release --bin fhirline -- demo {{ ARGS }}

# whether the public API of all library crates breaks that of the baseline (needs cargo-semver-checks)
semver:
    .ci/semver all

# licences, bans and sources of the dependency tree (needs cargo-deny)
deny:
    cargo deny check bans licenses sources

# a synthetic export of about BYTES bytes; more arguments: --seed N, --broken, --binary BYTES, --grouped
sample BYTES OUT *ARGS:
    cargo run --release --package fhirline --example make_sample -- {{ BYTES }} {{ OUT }} {{ ARGS }}

# fuzz a target for SECONDS, see fuzz/README.md (needs cargo-fuzz and a nightly compiler); new inputs: fuzz/target/found
fuzz NAME SECONDS="60" SANITIZER="address" *ARGS:
    mkdir -p fuzz/target/found/{{ NAME }}
    cargo +nightly fuzz run --sanitizer {{ SANITIZER }} {{ NAME }} fuzz/target/found/{{ NAME }} fuzz/corpus/{{ NAME }} -- \
        -max_total_time={{ SECONDS }} -max_len=4096 -timeout=60 -malloc_limit_mb=96 -dict=fuzz/json.dict {{ ARGS }}

# peak resident memory of a split of 1 GiB; scratch space is TMPDIR (needs /usr/bin/time of GNU)
memory *ARGS:
    #!/usr/bin/env bash
    set -euo pipefail
    cargo build --release --bin fhirline
    target=$(cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    cargo run --quiet --release --package fhirline --example make_sample -- {{ memory_bytes }} "$work/export.ndjson" --binary {{ memory_binary_bytes }}
    /usr/bin/time -v "$target/release/fhirline" split "$work/export.ndjson" -o "$work/out" -q --progress never {{ ARGS }} 2> "$work/time" ||
        { cat "$work/time"; exit 1; }
    grep -E 'Maximum resident|Elapsed|User time|System time' "$work/time"
