-- A database that moved elsewhere, or is about to, is not served any more.

CREATE TABLE moved (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    origin   TEXT NOT NULL,   -- what this database is called there
    place    TEXT NOT NULL,   -- where it moves, without password
    finished INTEGER NOT NULL -- 1 once everything is there
) STRICT;
