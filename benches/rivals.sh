#!/usr/bin/env bash
# Installs what `benches/compare.sh` puts beside fhirline, by package name: programs from Debian where root asks, Python's
# packages, by version, in a folder of their own: FHIRLINE_RIVALS, else ${XDG_CACHE_HOME:-$HOME/.cache}/fhirline-rivals.
# Quick when all is there. What cannot be installed is said; the rows of the table say so too.
set -uo pipefail

folder="${FHIRLINE_RIVALS:-${XDG_CACHE_HOME:-$HOME/.cache}/fhirline-rivals}"
python_packages=(duckdb==2.0.0 orjson==3.13.0 polars==2.1.0 rapidgzip==0.16.1)
# Program and package.
programs=(gzip:gzip jq:jq pigz:pigz igzip:isal zstd:zstd bgzip:tabix time:time)
missing=()

install_programs() {
    local pair packages=()
    for pair in "${programs[@]}"; do
        # `time` is a word of the shell too.
        [ -n "$(type -P "${pair%%:*}")" ] || packages+=("${pair##*:}")
    done
    [ "${#packages[@]}" -eq 0 ] && return
    if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null 2>&1; then
        missing+=("${packages[@]}")
        return
    fi
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"; } \
        > /dev/null || missing+=("${packages[@]}")
}

install_python_packages() {
    local package
    [ -x "$folder/venv/bin/pip" ] || python3 -m venv "$folder/venv" || { missing+=("${python_packages[@]}"); return; }
    # One by one: what has no build for this machine does not keep the others out.
    for package in "${python_packages[@]}"; do
        "$folder/venv/bin/pip" install --quiet --disable-pip-version-check "$package" || missing+=("$package")
    done
}

mkdir -p "$folder"
install_programs
install_python_packages
if [ "${#missing[@]}" -gt 0 ]; then
    printf 'rivals: MISSING: %s\n' "${missing[*]}" >&2
    exit 1
fi
printf 'rivals: all there, Python packages in %s\n' "$folder"
