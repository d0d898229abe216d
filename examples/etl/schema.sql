-- How far each export has come. Written in the transaction that writes the rows it vouches for.
CREATE TABLE IF NOT EXISTS exports (
    export text PRIMARY KEY,   -- the task of the export
    source bigint NOT NULL,    -- which of its sources was being read
    progress text NOT NULL,    -- JSON of fhirline's: where a later run goes on
    complete boolean NOT NULL  -- until then, rows are missing
);

-- Each resource at its place. `resource` holds its exact bytes; `resource::jsonb` parses them.
CREATE TABLE IF NOT EXISTS resources (
    export text NOT NULL,
    source bigint NOT NULL,    -- number of the source, from 0
    byte bigint NOT NULL,      -- where it begins in the decompressed source, from 0
    line bigint NOT NULL,      -- the same as a line, from 1
    resource_type text,        -- null if what it gives as its type does not look like one
    id text,
    resource text NOT NULL,
    PRIMARY KEY (export, source, byte)
);

-- What is no resource, byte for byte, and why.
CREATE TABLE IF NOT EXISTS rejects (
    export text NOT NULL,
    source bigint NOT NULL,
    byte bigint NOT NULL,
    line bigint NOT NULL,
    fault text NOT NULL,
    record bytea NOT NULL,
    PRIMARY KEY (export, source, byte)
);
