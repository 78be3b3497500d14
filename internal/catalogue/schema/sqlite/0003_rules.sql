-- Users and roles of accounts. Their ids are never used again; a name may be.
CREATE TABLE principals (
  principal_id TEXT   NOT NULL PRIMARY KEY,
  account_id   TEXT   NOT NULL REFERENCES accounts,
  kind         TEXT   NOT NULL, -- user, role
  path         TEXT   NOT NULL, -- begins and ends with /
  name         TEXT   NOT NULL,
  tags         TEXT   NOT NULL, -- JSON object of texts
  created_at   BIGINT NOT NULL,
  UNIQUE (account_id, kind, name)
) WITHOUT ROWID;

CREATE TABLE principal_policies (
  principal_id TEXT NOT NULL REFERENCES principals,
  name         TEXT NOT NULL,
  document     TEXT NOT NULL,
  PRIMARY KEY (principal_id, name)
) WITHOUT ROWID;

-- secret and token are encrypted with a key that is not in the catalogue; those of before are until the next start of the server.
ALTER TABLE access_keys ADD COLUMN principal_id TEXT; -- null: it signs for the root of the account
ALTER TABLE access_keys ADD COLUMN disabled BIGINT NOT NULL DEFAULT 0;
ALTER TABLE access_keys ADD COLUMN token TEXT;        -- of temporary credentials
ALTER TABLE access_keys ADD COLUMN session TEXT;      -- name of a role's session
ALTER TABLE access_keys ADD COLUMN mfa_at BIGINT;     -- when a second factor was proved
ALTER TABLE access_keys ADD COLUMN expires_at BIGINT; -- null: never
CREATE INDEX access_keys_of_account ON access_keys (account_id, principal_id);
CREATE INDEX access_keys_expiring ON access_keys (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE vault_policies (
  vault_id BIGINT NOT NULL PRIMARY KEY,
  policy   TEXT   NOT NULL -- as it was set
);

-- A lock that is in progress ends by itself. lock_time is the time that nobody can set, of the initiation.
CREATE TABLE vault_locks (
  vault_id   BIGINT NOT NULL PRIMARY KEY,
  lock_id    TEXT   NOT NULL UNIQUE,
  policy     TEXT   NOT NULL,
  created_at BIGINT NOT NULL,
  lock_time  BIGINT NOT NULL,
  settable   BIGINT NOT NULL, -- 1: made while tests could set the clock
  place      TEXT,            -- of its record on the medium; null: in progress
  number     BIGINT NOT NULL DEFAULT 0 -- of that record: grows when another takes its place, since the tags have changed
);

CREATE TABLE vault_tags (
  vault_id BIGINT NOT NULL,
  key      TEXT   NOT NULL,
  value    TEXT   NOT NULL,
  PRIMARY KEY (vault_id, key)
) WITHOUT ROWID;

-- By how many milliseconds the clock of the machine was ahead of the time that nobody can set when the archive was stored.
ALTER TABLE archives ADD COLUMN skew BIGINT NOT NULL DEFAULT 0;
ALTER TABLE deleted_archives ADD COLUMN skew BIGINT NOT NULL DEFAULT 0;

-- One row: the time that nobody can set, and what the uptime of the machine was then.
CREATE TABLE lock_clock (
  lock_time BIGINT NOT NULL,
  boot      TEXT   NOT NULL, -- which start of the machine
  uptime    BIGINT NOT NULL  -- milliseconds
);

CREATE TABLE retrieval_policies (
  account_id     TEXT NOT NULL PRIMARY KEY,
  strategy       TEXT NOT NULL, -- BytesPerHour, FreeTier, None
  bytes_per_hour BIGINT
) WITHOUT ROWID;

-- Retrievals that count for a limit: those of the tiers Standard and Expedited. They stay when their jobs go.
CREATE TABLE retrievals (
  job_id     TEXT   NOT NULL PRIMARY KEY,
  account_id TEXT   NOT NULL,
  tier       TEXT   NOT NULL,
  started_at BIGINT NOT NULL,
  bytes      BIGINT NOT NULL
) WITHOUT ROWID;

CREATE INDEX retrievals_of_account ON retrievals (account_id, tier, started_at, bytes);
CREATE INDEX retrievals_by_date ON retrievals (started_at);

CREATE TABLE capacity_units (
  capacity_id TEXT   NOT NULL PRIMARY KEY,
  account_id  TEXT   NOT NULL,
  started_at  BIGINT NOT NULL,
  expires_at  BIGINT NOT NULL
) WITHOUT ROWID;

CREATE INDEX capacity_of_account ON capacity_units (account_id, expires_at);

-- Messages that are still to be delivered, and those that were given up.
CREATE TABLE notices (
  notice_id  TEXT   NOT NULL PRIMARY KEY, -- UUID
  account_id TEXT   NOT NULL,
  topic      TEXT   NOT NULL,
  message    TEXT   NOT NULL,
  created_at BIGINT NOT NULL,
  attempts   BIGINT NOT NULL DEFAULT 0,
  next_at    BIGINT,          -- null: given up
  last_error TEXT
) WITHOUT ROWID;

CREATE INDEX notices_due ON notices (topic, next_at, notice_id) WHERE next_at IS NOT NULL;
CREATE INDEX notices_next ON notices (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX notices_given_up ON notices (created_at, notice_id) WHERE next_at IS NULL;
CREATE INDEX notices_by_date ON notices (created_at, notice_id);
