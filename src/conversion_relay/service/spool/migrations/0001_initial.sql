-- What waits for the database, oldest first: a sealed value for some events each.
CREATE TABLE records (
    id          INTEGER PRIMARY KEY AUTOINCREMENT, -- never reused: the seal is bound to it
    events      INTEGER NOT NULL,
    received_at INTEGER NOT NULL,                  -- of the oldest of them, microseconds since 1970
    tries       INTEGER NOT NULL DEFAULT 0,        -- in vain, while the database answered
    aside       INTEGER NOT NULL DEFAULT 0,        -- it cannot be opened
    sealed      BLOB NOT NULL
) STRICT;

CREATE INDEX records_turn ON records (tries, id) WHERE NOT aside;
CREATE INDEX records_age ON records (received_at);
CREATE INDEX records_aside ON records (events) WHERE aside;
