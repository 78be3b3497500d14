-- Users and roles of accounts. Their ids are never used again; a name may be.
CREATE TABLE principals (
  principal_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  account_id   TEXT COLLATE "C" NOT NULL REFERENCES accounts,
  kind         TEXT COLLATE "C" NOT NULL, -- user, role
  path         TEXT COLLATE "C" NOT NULL, -- begins and ends with /
  name         TEXT COLLATE "C" NOT NULL,
  tags         TEXT COLLATE "C" NOT NULL, -- JSON object of texts
  created_at   BIGINT NOT NULL,
  UNIQUE (account_id, kind, name)
);

CREATE TABLE principal_policies (
  principal_id TEXT COLLATE "C" NOT NULL REFERENCES principals,
  name         TEXT COLLATE "C" NOT NULL,
  document     TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (principal_id, name)
);

-- secret and token are encrypted with a key that is not in the catalogue; those of before are until the next start of the server.
ALTER TABLE access_keys ADD COLUMN principal_id TEXT COLLATE "C"; -- null: it signs for the root of the account
ALTER TABLE access_keys ADD COLUMN disabled BIGINT NOT NULL DEFAULT 0;
ALTER TABLE access_keys ADD COLUMN token TEXT COLLATE "C";        -- of temporary credentials
ALTER TABLE access_keys ADD COLUMN session TEXT COLLATE "C";      -- name of a role's session
ALTER TABLE access_keys ADD COLUMN mfa_at BIGINT;     -- when a second factor was proved
ALTER TABLE access_keys ADD COLUMN expires_at BIGINT; -- null: never
CREATE INDEX access_keys_of_account ON access_keys (account_id, principal_id);
CREATE INDEX access_keys_expiring ON access_keys (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE vault_policies (
  vault_id BIGINT NOT NULL PRIMARY KEY,
  policy   TEXT COLLATE "C" NOT NULL -- as it was set
);

-- A lock that is in progress ends by itself. lock_time is the time that nobody can set, of the initiation.
CREATE TABLE vault_locks (
  vault_id   BIGINT NOT NULL PRIMARY KEY,
  lock_id    TEXT COLLATE "C" NOT NULL UNIQUE,
  policy     TEXT COLLATE "C" NOT NULL,
  created_at BIGINT NOT NULL,
  lock_time  BIGINT NOT NULL,
  settable   BIGINT NOT NULL, -- 1: made while tests could set the clock
  place      TEXT COLLATE "C",            -- of its record on the medium; null: in progress
  number     BIGINT NOT NULL DEFAULT 0 -- of that record: grows when another takes its place, since the tags have changed
);

CREATE TABLE vault_tags (
  vault_id BIGINT NOT NULL,
  key      TEXT COLLATE "C" NOT NULL,
  value    TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (vault_id, key)
);

-- By how many milliseconds the clock of the machine was ahead of the time that nobody can set when the archive was stored.
ALTER TABLE archives ADD COLUMN skew BIGINT NOT NULL DEFAULT 0;
ALTER TABLE deleted_archives ADD COLUMN skew BIGINT NOT NULL DEFAULT 0;

-- One row: the time that nobody can set, and what the uptime of the machine was then.
CREATE TABLE lock_clock (
  lock_time BIGINT NOT NULL,
  boot      TEXT COLLATE "C" NOT NULL, -- which start of the machine
  uptime    BIGINT NOT NULL  -- milliseconds
);

CREATE TABLE retrieval_policies (
  account_id     TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  strategy       TEXT COLLATE "C" NOT NULL, -- BytesPerHour, FreeTier, None
  bytes_per_hour BIGINT
);

-- Retrievals that count for a limit: those of the tiers Standard and Expedited. They stay when their jobs go.
CREATE TABLE retrievals (
  job_id     TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  account_id TEXT COLLATE "C" NOT NULL,
  tier       TEXT COLLATE "C" NOT NULL,
  started_at BIGINT NOT NULL,
  bytes      BIGINT NOT NULL
);

CREATE INDEX retrievals_of_account ON retrievals (account_id, tier, started_at, bytes);
CREATE INDEX retrievals_by_date ON retrievals (started_at);

CREATE TABLE capacity_units (
  capacity_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  account_id  TEXT COLLATE "C" NOT NULL,
  started_at  BIGINT NOT NULL,
  expires_at  BIGINT NOT NULL
);

CREATE INDEX capacity_of_account ON capacity_units (account_id, expires_at);

-- Messages that are still to be delivered, and those that were given up.
CREATE TABLE notices (
  notice_id  TEXT COLLATE "C" NOT NULL PRIMARY KEY, -- UUID
  account_id TEXT COLLATE "C" NOT NULL,
  topic      TEXT COLLATE "C" NOT NULL,
  message    TEXT COLLATE "C" NOT NULL,
  created_at BIGINT NOT NULL,
  attempts   BIGINT NOT NULL DEFAULT 0,
  next_at    BIGINT,          -- null: given up
  last_error TEXT COLLATE "C"
);

CREATE INDEX notices_due ON notices (topic, next_at, notice_id) WHERE next_at IS NOT NULL;
CREATE INDEX notices_next ON notices (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX notices_given_up ON notices (created_at, notice_id) WHERE next_at IS NULL;
CREATE INDEX notices_by_date ON notices (created_at, notice_id);
