-- Times are milliseconds since 1970. What is JSON is so by the program's word. States and kinds are the names that the program has.

-- Events as they were first delivered. The key is mode and id.
CREATE TABLE events (
    id TEXT PRIMARY KEY,
    mode TEXT NOT NULL,
    kind TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    -- All deliveries, the first one too, and when the last one came.
    deliveries BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    -- Why it was not understood, if it was not.
    flag TEXT,
    task_id TEXT,
    org_connection_id TEXT,
    body BLOB NOT NULL
);
CREATE INDEX events_by_time ON events (received_at);

-- One row for each export of each task in one format.
CREATE TABLE exports (
    id TEXT PRIMARY KEY,
    mode TEXT NOT NULL,
    task_id TEXT NOT NULL,
    export_type TEXT NOT NULL,
    org_connection_id TEXT,
    state TEXT NOT NULL,
    -- Counts the times that it was begun with new links.
    generation BIGINT NOT NULL,
    -- Counts what was handed to the queue: whoever has another number comes too late.
    turn BIGINT NOT NULL,
    -- The turn that the queue has.
    pushed BIGINT NOT NULL DEFAULT 0,
    -- Attempts of this generation.
    attempts BIGINT NOT NULL,
    -- When the next attempt, or the next question to the API, is due.
    due_at BIGINT,
    event_id TEXT,
    link TEXT,
    -- The counts that the sender declares (JSON).
    stats TEXT,
    destination TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    requested_at BIGINT,
    polls BIGINT NOT NULL,
    started_at BIGINT,
    finished_at BIGINT,
    worker TEXT,
    -- What a person should look at.
    failure TEXT,
    action TEXT,
    -- How far it is, while it runs, and the account at the end (JSON).
    progress TEXT,
    report TEXT,
    steps BIGINT NOT NULL
);
CREATE INDEX exports_by_state ON exports (state, due_at);
CREATE INDEX exports_by_time ON exports (updated_at);
CREATE UNIQUE INDEX exports_by_destination ON exports (destination);

-- What happened to an export.
CREATE TABLE steps (
    export_id TEXT NOT NULL,
    step BIGINT NOT NULL,
    at BIGINT NOT NULL,
    state TEXT NOT NULL,
    note TEXT,
    PRIMARY KEY (export_id, step)
);

-- Connections of patients, by mode and id.
CREATE TABLE connections (
    id TEXT PRIMARY KEY,
    mode TEXT NOT NULL,
    org_connection_id TEXT NOT NULL,
    status TEXT,
    external_id TEXT,
    request_id TEXT,
    platform_type TEXT,
    -- All that was said at the connection (JSON).
    data TEXT,
    updated_at BIGINT NOT NULL
);

-- Exports to be requested of the API.
CREATE TABLE requests (
    id TEXT PRIMARY KEY,
    mode TEXT NOT NULL,
    org_connection_id TEXT NOT NULL,
    reason TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    turn BIGINT NOT NULL,
    pushed BIGINT NOT NULL DEFAULT 0,
    attempts BIGINT NOT NULL,
    -- Not set once it is over.
    due_at BIGINT,
    failure TEXT
);
CREATE INDEX requests_by_time ON requests (due_at);

-- What is to be told when exports end.
CREATE TABLE callbacks (
    id TEXT PRIMARY KEY,
    export_id TEXT NOT NULL,
    state TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    turn BIGINT NOT NULL,
    pushed BIGINT NOT NULL DEFAULT 0,
    attempts BIGINT NOT NULL,
    -- Not set once it is over.
    due_at BIGINT,
    done_at BIGINT,
    failure TEXT
);
CREATE INDEX callbacks_by_time ON callbacks (due_at);
