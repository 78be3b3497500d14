-- Moments are milliseconds since 1970 in UTC. Hashes are 32 raw bytes. Text sorts by byte.

CREATE TABLE accounts (
  account_id TEXT COLLATE "C" NOT NULL PRIMARY KEY, -- 12 digits
  name       TEXT COLLATE "C" NOT NULL UNIQUE,
  created_at BIGINT NOT NULL
);

CREATE TABLE access_keys (
  access_key_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  account_id    TEXT COLLATE "C" NOT NULL REFERENCES accounts,
  secret        TEXT COLLATE "C" NOT NULL,
  created_at    BIGINT NOT NULL,
  configured    BIGINT NOT NULL DEFAULT 0 -- 1: from the configuration, which has one at a time
);

-- Numbers that are never used twice.
CREATE TABLE counters (
  name  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  value BIGINT NOT NULL
);

INSERT INTO counters (name, value) VALUES ('vault', 0), ('release', 0);

-- archives and bytes are live. changes counts the writes (uploads and deletions of archives) since the vault was made;
-- an inventory is the state of the vault after so many changes.
CREATE TABLE vaults (
  vault_id           BIGINT NOT NULL PRIMARY KEY,
  account_id         TEXT COLLATE "C" NOT NULL,
  name               TEXT COLLATE "C" NOT NULL,
  created_at         BIGINT NOT NULL,
  archives           BIGINT NOT NULL DEFAULT 0,
  bytes              BIGINT NOT NULL DEFAULT 0,
  changes            BIGINT NOT NULL DEFAULT 0,
  changed_at         BIGINT,                     -- null: never written to
  pending_at         BIGINT,                     -- of the first change that is in no inventory yet
  inventory_at       BIGINT,                     -- null: no inventory was taken yet
  inventory_change   BIGINT NOT NULL DEFAULT 0,  -- changes when it was taken
  inventory_archives BIGINT NOT NULL DEFAULT 0,
  inventory_bytes    BIGINT NOT NULL DEFAULT 0,
  topic              TEXT COLLATE "C",                       -- notification configuration; null: none
  events             TEXT COLLATE "C",                       -- names separated by a comma
  UNIQUE (account_id, name)
);

CREATE INDEX vaults_pending ON vaults (pending_at) WHERE pending_at IS NOT NULL;

-- place is where the store has the payload, or the manifest of a multipart archive, whose parts are those of upload_id.
CREATE TABLE archives (
  archive_id  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  vault_id    BIGINT NOT NULL,
  created_at  BIGINT NOT NULL,
  size        BIGINT NOT NULL,
  tree_hash   BYTEA  NOT NULL,
  description TEXT COLLATE "C" NOT NULL,
  added       BIGINT NOT NULL, -- number of the change that added it
  place       TEXT COLLATE "C" NOT NULL,
  upload_id   TEXT COLLATE "C"
);

CREATE INDEX archives_in_order ON archives (vault_id, created_at, archive_id);

-- Ids are never used again, a second deletion succeeds, inventories of the past list what was there, and jobs offer
-- what they promised: for that a deleted archive is remembered.
CREATE TABLE deleted_archives (
  archive_id  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  vault_id    BIGINT NOT NULL,
  created_at  BIGINT NOT NULL,
  size        BIGINT NOT NULL,
  tree_hash   BYTEA  NOT NULL,
  description TEXT COLLATE "C" NOT NULL,
  added       BIGINT NOT NULL,
  place       TEXT COLLATE "C" NOT NULL,
  upload_id   TEXT COLLATE "C",
  removed     BIGINT NOT NULL, -- number of the change that removed it
  released    BIGINT NOT NULL DEFAULT 0, -- 1: nothing needs the bytes any more, they are released
  tombstone   TEXT COLLATE "C" -- place of the record that says so on the medium, while the bytes stay
);

CREATE INDEX deleted_archives_by_change ON deleted_archives (vault_id, removed);

CREATE TABLE uploads (
  upload_id   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  vault_id    BIGINT NOT NULL,
  archive_id  TEXT COLLATE "C" NOT NULL, -- that completion will give
  created_at  BIGINT NOT NULL,
  active_at   BIGINT NOT NULL, -- of the initiation or the last part
  part_size   BIGINT NOT NULL,
  description TEXT COLLATE "C" NOT NULL,
  revision    BIGINT NOT NULL DEFAULT 0, -- grows with every part stored
  state       TEXT COLLATE "C" NOT NULL, -- open, completed, aborted
  ended_at    BIGINT,
  size        BIGINT NOT NULL DEFAULT 0, -- of the completed archive
  tree_hash   BYTEA
);

CREATE INDEX uploads_open ON uploads (vault_id, upload_id) WHERE state = 'open';
CREATE INDEX uploads_idle ON uploads (active_at) WHERE state = 'open';
CREATE INDEX uploads_ended ON uploads (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE parts (
  upload_id TEXT COLLATE "C" NOT NULL,
  first     BIGINT NOT NULL, -- offset in the archive
  size      BIGINT NOT NULL,
  tree_hash BYTEA  NOT NULL,
  place     TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (upload_id, first)
);

CREATE TABLE jobs (
  job_id            TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  vault_id          BIGINT NOT NULL,
  action            TEXT COLLATE "C" NOT NULL, -- ArchiveRetrieval, InventoryRetrieval
  status            TEXT COLLATE "C" NOT NULL, -- InProgress, Succeeded, Failed
  message           TEXT COLLATE "C",
  description       TEXT COLLATE "C",
  topic             TEXT COLLATE "C",
  created_at        BIGINT NOT NULL,
  due_at            BIGINT NOT NULL, -- not finished before
  completed_at      BIGINT,
  expires_at        BIGINT,
  -- archive retrieval
  archive_id        TEXT COLLATE "C",
  archive_size      BIGINT NOT NULL DEFAULT 0,
  archive_tree_hash BYTEA,
  archive_description TEXT COLLATE "C",
  tier              TEXT COLLATE "C",
  first             BIGINT NOT NULL DEFAULT 0, -- range, inclusive
  last              BIGINT NOT NULL DEFAULT 0,
  tree_hash         BYTEA,            -- of the range; null: not aligned
  -- inventory retrieval
  format            TEXT COLLATE "C",
  start_date        TEXT COLLATE "C",            -- as given
  end_date          TEXT COLLATE "C",
  item_limit        BIGINT,
  marker            TEXT COLLATE "C",            -- as given
  snapshot          BIGINT NOT NULL DEFAULT 0, -- the change up to which the inventory goes
  snapshot_at       BIGINT,
  next_marker       TEXT COLLATE "C",
  output_place      TEXT COLLATE "C",
  output_size       BIGINT
);

CREATE INDEX jobs_in_vault ON jobs (vault_id, job_id);
CREATE INDEX jobs_due ON jobs (due_at) WHERE status = 'InProgress';
CREATE INDEX jobs_expiring ON jobs (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX jobs_of_archive ON jobs (archive_id) WHERE archive_id IS NOT NULL;

-- Places that nothing needs any more. They are removed in the order of their numbers.
CREATE TABLE releases (
  place  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  number BIGINT NOT NULL
);

CREATE INDEX releases_in_order ON releases (number, place);

-- One row: the name that the store of this catalogue has too, so that neither is ever used with another.
CREATE TABLE identity (
  id TEXT COLLATE "C" NOT NULL PRIMARY KEY
);
