-- What one node at a time does, and until when. The holder is a name for this time: who has lost a lease without knowing it changes nothing any more. Times are
-- those of the engine.
CREATE TABLE leases (
  name   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  holder TEXT COLLATE "C" NOT NULL,
  until  BIGINT NOT NULL
);

-- For each node the last of its transactions that was committed, so that one whose commit had no answer can be told from one that did not happen.
CREATE TABLE commits (
  node  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  token TEXT COLLATE "C" NOT NULL,
  at    BIGINT NOT NULL -- of its first transaction
);
