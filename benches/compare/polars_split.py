"""polars: each line as it is, in one folder a type. `scan_ndjson` would make columns of the lines and not give them back.

    polars_split.py IN FOLDER
"""

import sys

import polars

source, out = sys.argv[1:]
kind = polars.col("line").str.json_path_match("$.resourceType").alias("kind")
by_kind = polars.PartitionBy(out, key="kind", include_key=False)
polars.scan_lines(source).with_columns(kind).sink_csv(by_kind, include_header=False, quote_style="never", mkdir=True)
