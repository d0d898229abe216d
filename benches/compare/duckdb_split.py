"""DuckDB: each line as it is, in one folder a type. CSV without quotes, and a delimiter that no JSON text holds.

    duckdb_split.py IN FOLDER
"""

import sys

import duckdb

source, out = sys.argv[1:]
duckdb.sql("SET preserve_insertion_order = false")
duckdb.sql(f"""
    COPY (SELECT json, json->>'$.resourceType' AS kind
          FROM read_ndjson_objects('{source}', maximum_object_size = 268435456))
    TO '{out}' (FORMAT csv, HEADER false, DELIMITER e'\\x01', QUOTE '', ESCAPE '',
                PARTITION_BY (kind), FILE_EXTENSION 'ndjson', OVERWRITE_OR_IGNORE true)
""")
