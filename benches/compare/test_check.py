#!/usr/bin/env python3
"""check.py finds what a wrong output could be: each of these is one, made from a right one."""

import gzip
import io
import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import check

PATIENT = b'{"resourceType":"Patient","id":"%d","text":"1.00"}'
GOAL = b'{"id":"%d","resourceType":"Goal"}'
LINES = [line % number for number in range(5) for line in (PATIENT, GOAL)]
BROKEN = [b'{"resourceType":"Patient"', b'{"id":"1"}', b'{"resourceType":7}', b"\xff", b'{"resourceType":"Goal","x":NaN}']


class Checked(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.place = Path(folder.name)
        self.out = self.place / "out"
        self.out.mkdir()

    def truth(self, lines):
        source = self.place / "in"
        source.write_bytes(b"".join(line + b"\n" for line in lines))
        (self.place / "truth").write_text(check.main("truth", source))
        return source

    def verdict(self, layout="files"):
        return check.main("lines", layout, self.place / "truth", self.out)

    def split(self, lines):
        script = Path(check.__file__).parent / "split.py"
        subprocess.run([sys.executable, script, "json", self.truth(lines), self.out], check=True)

    def doctor(self, change, name="Patient.ndjson"):
        file = self.out / name
        file.write_bytes(change(file.read_bytes()))


class OfAnyone(Checked):
    def setUp(self):
        super().setUp()
        self.split(LINES)

    def test_what_is_right(self):
        self.assertEqual(self.verdict(), "same")

    def test_white_space_at_the_ends_does_not_count(self):
        self.doctor(lambda data: data.replace(b"\n", b" \r\n\n"))
        self.assertEqual(self.verdict(), "same")

    def test_white_space_between_tokens_counts_unless_it_was_to_go(self):
        for spaced, form, verdict in (
            (b'{"id": "1", "a":"b: \\" c" }', "verbatim", "DIFFERENT: other bytes in Patient"),
            (b'{"id":"1","a":"b:\\" c"}', "compact", "DIFFERENT: other bytes in Patient"),
            (b'{"id": "1" ,"a":"b: \\" c" }', "compact", "same"),
        ):
            line = spaced.replace(b"{", b'{"resourceType":"Patient",')
            (self.place / "in").write_bytes(line)
            (self.place / "truth").write_text(check.main("truth", self.place / "in", form))
            (self.out / "Goal.ndjson").write_bytes(b"")
            (self.out / "Patient.ndjson").write_bytes(b'{"resourceType":"Patient","id":"1","a":"b: \\" c"}\n')
            self.assertEqual(self.verdict(), verdict)

    def test_a_lost_line(self):
        self.doctor(lambda data: data.split(b"\n", 1)[1])
        self.assertEqual(self.verdict(), "DIFFERENT: 4 instead of 5 of Patient")

    def test_a_byte(self):
        self.doctor(lambda data: data.replace(b"1.00", b"1.0", 1))
        self.assertEqual(self.verdict(), "DIFFERENT: other bytes in Patient")

    def test_a_line_twice_in_place_of_another(self):
        self.doctor(lambda data: b"\n".join([PATIENT % 0, *data.split(b"\n")[:-2]]))
        self.assertEqual(self.verdict(), "DIFFERENT: other bytes in Patient")

    def test_a_pair_in_place_of_another_pair(self):
        self.truth([PATIENT % 1, PATIENT % 1])
        (self.out / "Goal.ndjson").unlink()
        (self.out / "Patient.ndjson").write_bytes((PATIENT % 2 + b"\n") * 2)
        self.assertEqual(self.verdict(), "DIFFERENT: other bytes in Patient")

    def test_two_lines_under_the_other_type(self):
        for name, line in (("Patient.ndjson", GOAL), ("Goal.ndjson", PATIENT)):
            self.doctor(lambda data: data.split(b"\n", 1)[1] + line % 0 + b"\n", name)
        self.assertEqual(self.verdict(), "DIFFERENT: other bytes in Goal, and 1 more types")

    def test_a_missing_file_and_one_too_many(self):
        (self.out / "Goal.ndjson").rename(self.out / "Gaol.ndjson")
        self.assertEqual(self.verdict(), "DIFFERENT: 5 instead of 0 of Gaol, and 1 more types")

    def test_a_lost_order(self):
        self.doctor(lambda data: b"\n".join(reversed(data.split(b"\n"))))
        self.assertEqual(self.verdict(), "same, order lost")

    def test_folders_of_a_type(self):
        for kind in ("Patient", "Goal"):
            folder = self.out / f"kind={kind}"
            folder.mkdir()
            (self.out / f"{kind}.ndjson").rename(folder / "data_0.ndjson")
        self.assertEqual(self.verdict("folders"), "same")
        (self.out / "kind=Goal/data_0.ndjson").write_bytes(b"")
        self.assertEqual(self.verdict("folders"), "DIFFERENT: 0 instead of 5 of Goal")

    def test_counts(self):
        counts = self.place / "counts"
        for said, verdict in (("5 Goal\n 5 Patient\n", "same"), ("5 Goal\n4 Patient\n", "DIFFERENT: 4 instead of 5 of Patient")):
            counts.write_text(said)
            self.assertEqual(check.main("counts", self.place / "truth", counts), verdict)

    def test_bytes_as_a_whole(self):
        whole = (self.place / "in").read_bytes()
        wanted = check.kept(self.place / "truth")["digest"]
        self.assertEqual(check.check_bytes(wanted, io.BytesIO(whole)), "same")
        for wrong in (whole[:-1], whole + b"\n", b""):
            self.assertEqual(check.check_bytes(wanted, io.BytesIO(wrong)), "DIFFERENT: other bytes")


class OfOurs(Checked):
    """The order, the quarantine and the manifest count too."""

    def setUp(self):
        super().setUp()
        self.split(LINES)
        self.truth([b"\xef\xbb\xbf" + LINES[0], *LINES[1:], b"", *BROKEN])
        (self.out / "_quarantine").mkdir()
        (self.out / "_quarantine/lines.raw").write_bytes(b"".join(line + b"\n" for line in BROKEN))
        (self.out / "_quarantine/outcome.ndjson").write_text("{}\n")
        self.manifest(Goal=5, Patient=5)

    def manifest(self, **counts):
        output = [{"type": kind, "url": f"{kind}.ndjson", "count": count} for kind, count in counts.items()]
        (self.out / "manifest.json").write_text(json.dumps({"output": output}))

    def test_what_is_right(self):
        self.assertEqual(self.verdict("split"), "same")

    def test_a_lost_order(self):
        self.doctor(lambda data: b"\n".join(reversed(data.split(b"\n"))))
        self.assertEqual(self.verdict("split"), "DIFFERENT: order")

    def test_a_lost_reject(self):
        self.doctor(lambda data: data[data.index(b"\n") + 1 :], "_quarantine/lines.raw")
        self.assertEqual(self.verdict("split"), "DIFFERENT: 4 instead of 5 of _quarantine")

    def test_a_manifest_that_counts_wrongly(self):
        self.manifest(Goal=5, Patient=6)
        self.assertEqual(self.verdict("split"), "DIFFERENT: the manifest: 6 instead of 5 of Patient")

    def test_a_missing_manifest(self):
        (self.out / "manifest.json").unlink()
        with self.assertRaises(OSError):
            self.verdict("split")

    def test_of_a_bundle_there_are_no_rejects(self):
        self.assertEqual(self.verdict("bundle"), "DIFFERENT: 5 instead of 0 of _quarantine")
        (self.out / "_quarantine/lines.raw").unlink()
        self.assertEqual(self.verdict("bundle"), "same")

    def test_compressed_lines(self):
        plain = self.out / "Goal.ndjson"
        packed = gzip.compress(plain.read_bytes())
        plain.unlink()
        (self.out / "Goal.ndjson.gz").write_bytes(packed)
        self.assertEqual(self.verdict("split"), "same")
        (self.out / "Goal.ndjson.gz").write_bytes(packed[:-9])
        with self.assertRaises(OSError):
            self.verdict("split")


if __name__ == "__main__":
    unittest.main()
