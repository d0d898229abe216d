#!/usr/bin/env python3
"""Whether a row of the comparison left what it should. It has a reader of its own, and believes nobody's manifest.

    check.py truth IN [compact]             what must come out of an input with one resource a line, as JSON; without
                                            white space between tokens where it goes by way of many lines
    check.py total TRUTH                    how much that is, in words
    check.py lines LAYOUT TRUTH FOLDER      the lines that were written; LAYOUT: files, folders, or of fhirline:
                                            split, bundle, pretty
    check.py counts TRUTH FILE              counts only, as `COUNT TYPE` lines
    check.py bytes TRUTH < DECODED          the input as a whole

The last three print `same`, `same, order lost`, or `DIFFERENT: ` and in what: types and counts, never what a record
holds. Lines are compared by type, as multisets, without white space at their ends: how many, and the sum of their hashes
modulo 2^128; then in their order.
"""

import hashlib
import json
import os
import re
import subprocess
import sys

# A type that a file may be named after; fhirline puts others into `_unknown`.
TYPE = re.compile("[A-Z][A-Za-z]{0,63}")
UNKNOWN = "_unknown"
# Lines that are no resource: fhirline keeps them in its quarantine.
REJECTED = "_quarantine"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
BLANK = b" \t\r\n"
STRING = re.compile(rb'("[^"\\]*(?:\\.[^"\\]*)*")')
DECODERS = {".gz": ["gzip", "-dc"], ".zst": ["zstd", "-q", "-dc"]}


class Tally:
    """The lines of one type: how many, which, and in which order."""

    def __init__(self):
        self.count, self.sum, self.order = 0, 0, hashlib.blake2b(digest_size=16)

    def add(self, line):
        digest = hashlib.blake2b(line, digest_size=16).digest()
        self.count += 1
        self.sum = (self.sum + int.from_bytes(digest, "big")) % (1 << 128)
        self.order.update(digest)

    def told(self):
        return [self.count, f"{self.sum:032x}", self.order.hexdigest()]


def told(tallies):
    return {kind: tally.told() for kind, tally in sorted(tallies.items())}


# ---- what must come out ---------------------------------------------------------------------------------------------


def no_number(text):
    raise ValueError("NaN and Infinity are not JSON")


def kind_of(line):
    try:
        value = json.loads(line.decode(), parse_constant=no_number)
        kind = value["resourceType"]
    except (ValueError, RecursionError, TypeError, KeyError):
        return REJECTED
    return named(kind) if isinstance(kind, str) and kind else REJECTED


def named(kind):
    return kind if TYPE.fullmatch(kind) else UNKNOWN


def compact(line):
    """Every second part is a string, and stays."""
    parts = STRING.split(line)
    parts[::2] = [part.translate(None, BLANK) for part in parts[::2]]
    return b"".join(parts)


def truth(path, form="verbatim"):
    sys.set_int_max_str_digits(0)
    tallies, whole = {}, hashlib.blake2b()
    with open(path, "rb") as lines:
        for number, line in enumerate(lines):
            whole.update(line)
            line = line.strip(BLANK) if number else line.removeprefix(BYTE_ORDER_MARK).strip(BLANK)
            if line:
                tallies.setdefault(kind_of(line), Tally()).add(compact(line) if form == "compact" else line)
    return {"digest": whole.hexdigest(), "types": told(tallies)}


# ---- what came out --------------------------------------------------------------------------------------------------


def outputs(layout, folder):
    """The files that hold lines, each with the type that it is named after."""
    for place, _, names in sorted(os.walk(folder)):
        inner = os.path.relpath(place, folder)
        for name in sorted(names):
            path = os.path.join(place, name)
            if layout == "folders":
                yield named(os.path.basename(place).removeprefix("kind=")), path
            elif layout == "files":
                yield named(name.split(".")[0]), path
            elif inner == REJECTED:
                if name == "lines.raw":
                    yield REJECTED, path
            elif name != "manifest.json":
                yield name.split(".")[0], path


def tally_file(tally, path):
    decoder = DECODERS.get(os.path.splitext(path)[1])
    if decoder is None:
        with open(path, "rb") as lines:
            tally_lines(tally, lines)
        return
    with subprocess.Popen([*decoder, path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as decoded:
        tally_lines(tally, decoded.stdout)
    if decoded.returncode:
        raise OSError(f"{decoder[0]} ended with status {decoded.returncode}")


def tally_lines(tally, lines):
    for line in lines:
        line = line.strip(BLANK)
        if line:
            tally.add(line)


def found(layout, folder):
    tallies = {}
    for kind, path in outputs(layout, folder):
        tally_file(tallies.setdefault(kind, Tally()), path)
    return told({kind: tally for kind, tally in tallies.items() if tally.count})


def of_uniq(path):
    counts = {}
    with open(path) as lines:
        for line in lines:
            count, kind = line.split()
            counts[named(kind)] = counts.get(named(kind), 0) + int(count)
    return counts


# ---- compared -------------------------------------------------------------------------------------------------------


def differing(wanted, got, pick):
    """The types that are not as they should be in one respect."""
    return [kind for kind in sorted({*wanted, *got}) if pick(wanted.get(kind)) != pick(got.get(kind))]


def different(what, kinds):
    more = f", and {len(kinds) - 1} more types" if len(kinds) > 1 else ""
    return f"DIFFERENT: {what}{more}"


def compare_counts(wanted, got):
    kinds = differing(wanted, got, lambda count: count or 0)
    if kinds:
        kind = kinds[0]
        return different(f"{got.get(kind, 0)} instead of {wanted.get(kind, 0)} of {kind}", kinds)
    return "same"


def counts_of(types):
    return {kind: tally[0] for kind, tally in types.items()}


def compare_lines(wanted, got):
    counted = compare_counts(counts_of(wanted), counts_of(got))
    if counted != "same":
        return counted
    altered = differing(wanted, got, lambda tally: tally[1])
    if altered:
        return different(f"other bytes in {altered[0]}", altered)
    return "same, order lost" if differing(wanted, got, lambda tally: tally[2]) else "same"


def compare_manifest(got, folder):
    """fhirline's own account of what it wrote."""
    with open(os.path.join(folder, "manifest.json")) as manifest:
        listed = json.load(manifest)["output"]
    counts = {}
    for output in listed:
        kind = output["url"].split(".")[0]
        counts[kind] = counts.get(kind, 0) + output["count"]
    written = {kind: count for kind, count in counts_of(got).items() if kind != REJECTED}
    return compare_counts(written, counts).replace("DIFFERENT", "DIFFERENT: the manifest")


def check_lines(layout, wanted, folder):
    if layout in ("bundle", "pretty"):
        wanted = {kind: tally for kind, tally in wanted.items() if kind != REJECTED}
    got = found(layout, folder)
    verdict = compare_lines(wanted, got)
    if layout in ("files", "folders") or verdict.startswith("DIFFERENT"):
        return verdict
    # Of fhirline more is asked.
    return compare_manifest(got, folder) if verdict == "same" else "DIFFERENT: order"


def check_bytes(wanted, decoded):
    whole = hashlib.blake2b()
    while piece := decoded.read(1 << 20):
        whole.update(piece)
    return "same" if whole.hexdigest() == wanted else "DIFFERENT: other bytes"


def kept(path):
    """What `truth` printed."""
    with open(path) as file:
        return json.load(file)


def main(how, *args):
    if how == "truth":
        return json.dumps(truth(*args))
    if how == "total":
        counts = counts_of(kept(*args)["types"])
        rejected = counts.pop(REJECTED, 0)
        resources = f"{sum(counts.values())} resources of {len(counts)} types"
        return f"{resources}, {rejected} other lines" if rejected else resources
    if how == "bytes":
        return check_bytes(kept(*args)["digest"], sys.stdin.buffer)
    if how == "counts":
        wanted, path = args
        return compare_counts(counts_of(kept(wanted)["types"]), of_uniq(path))
    layout, wanted, folder = args
    return check_lines(layout, kept(wanted)["types"], folder)


if __name__ == "__main__":
    print(main(*sys.argv[1:]))
