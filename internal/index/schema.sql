-- Moments are milliseconds since 1970 in UTC, null: unknown.

CREATE TABLE state (
    one          INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    inventory_at INTEGER,          -- date of the inventory; null: none yet
    archives     INTEGER NOT NULL, -- rows of the table archives
    bytes        INTEGER NOT NULL  -- sum of their sizes
);
INSERT INTO state (one, archives, bytes) VALUES (1, 0, 0);

-- The id of an archive is split after 24 bytes. Ids are random, so that the index by the first part finds an archive as well, and is a fifth of the size of one by
-- whole ids. No two rows have the same id.
--
-- The columns are those of the staged table of Replace, in the same order: SQLite then copies the rows as they are.
CREATE TABLE archives (
    id_start    TEXT    NOT NULL,
    id_rest     TEXT    NOT NULL,
    path        TEXT    NOT NULL,
    description TEXT,             -- null: the same as path
    created     INTEGER NOT NULL, -- milliseconds
    size        INTEGER NOT NULL,
    tree_hash   BLOB    NOT NULL, -- 32 bytes, or none
    local       INTEGER NOT NULL  -- 1: uploaded here, and in no inventory yet
);
CREATE INDEX archives_by_id ON archives (id_start);
CREATE INDEX archives_by_path ON archives (path, created);
CREATE INDEX archives_local ON archives (created) WHERE local = 1;

-- What this machine deleted and inventories may still list.
CREATE TABLE deleted (
    id_start TEXT    NOT NULL,
    id_rest  TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (id_start, id_rest)
) WITHOUT ROWID;

CREATE TABLE uploads (
    id          TEXT    NOT NULL PRIMARY KEY,
    path        TEXT    NOT NULL, -- of the file on this machine
    size        INTEGER NOT NULL,
    modified    TEXT    NOT NULL, -- to the nanosecond
    description TEXT    NOT NULL,
    started     INTEGER NOT NULL,
    completing  INTEGER           -- since when it may be an archive; null: it is not
) WITHOUT ROWID;
CREATE INDEX uploads_by_path ON uploads (path);
