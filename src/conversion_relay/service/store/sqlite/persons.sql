
-- Persons: whose events these are, what is remembered of them, and erasing it. As in queries.sql.

-- name: subject_key
SELECT sealed, first_event FROM subject_key;

-- name: keep_subject_key
INSERT INTO subject_key (id, sealed, first_event) VALUES (1, :sealed, :first_event)
ON CONFLICT (id) DO UPDATE SET sealed = excluded.sealed, first_event = excluded.first_event;

-- name: next_event
SELECT 1 + coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0);

-- name: hashes_between
-- The hashes of the chunks of this stretch: whose they are and how many bytes, and all end to end.
-- Both are gathered in one pass, so they agree on the order, whatever it is.
SELECT
    json_group_array(json_array(first_event, length(hashes))),
    CAST(coalesce(group_concat(hashes, ''), '') AS BLOB)
FROM event_subjects WHERE first_event BETWEEN :first AND :last;

-- name: first_subjects
SELECT min(first_event) FROM event_subjects WHERE first_event >= :first;

-- name: of_source
-- Those of these events that are kept, of this source or of any.
SELECT json_group_array(id ORDER BY id) FROM events
WHERE id IN (SELECT value FROM json_each(:events)) AND (:source IS NULL OR source = :source);

-- name: hashes_of
SELECT first_event, hashes FROM event_subjects
WHERE first_event IN (SELECT value FROM json_each(:chunks));

-- name: change_hashes
UPDATE event_subjects SET hashes = :hashes WHERE first_event = :first_event;

-- name: chunks_between
-- The next chunks of originals; those of events without hashes.
SELECT first_event, last_event, sealed FROM originals
WHERE first_event BETWEEN :first AND :last ORDER BY first_event LIMIT :limit;

-- name: chunks_left
-- These chunks, with the events that are left of them once the named ones are gone.
SELECT first_event, last_event, sealed, (
    SELECT json_group_array(id) FROM events
    WHERE id BETWEEN first_event AND last_event
        AND id NOT IN (SELECT value FROM json_each(:events))
)
FROM originals WHERE first_event IN (SELECT value FROM json_each(:chunks))
ORDER BY first_event;

-- name: marked_to_thin
-- Which of these chunks still hold more than they should.
SELECT json_group_array(first_event) FROM originals_to_thin
WHERE first_event IN (SELECT value FROM json_each(:chunks));

-- name: what_is_kept
-- Of these events: how many there are, how many have their original, their deliveries by state.
SELECT
    (SELECT count(*) FROM events WHERE id IN (SELECT value FROM json_each(:events))),
    (
        SELECT count(*) FROM json_each(:events) AS chosen
        JOIN events ON events.id = chosen.value
        JOIN originals ON originals.first_event = (
            SELECT max(first_event) FROM originals WHERE first_event <= chosen.value
        ) AND originals.last_event >= chosen.value
    ),
    (
        SELECT json_group_array(json_array(state, total)) FROM (
            SELECT state, count(*) AS total FROM deliveries
            WHERE event IN (SELECT value FROM json_each(:events)) GROUP BY state ORDER BY state
        )
    );

-- name: match_keys_of
-- What is remembered for these subjects (hexadecimal) and is not too old.
SELECT hex(subject), source, destination, sealed
FROM json_each(:subjects) AS asked
CROSS JOIN match_keys ON subject = unhex(asked.value)
WHERE (:source IS NULL OR source = :source) AND expires_at > :now;

-- name: keep_match_keys
INSERT INTO match_keys (subject, source, destination, expires_at, kinds, sealed)
VALUES (:subject, :source, :destination, :expires_at, :kinds, :sealed)
ON CONFLICT (subject, source, destination) DO UPDATE SET
    expires_at = excluded.expires_at, kinds = excluded.kinds, sealed = excluded.sealed;

-- name: keep_bond
INSERT INTO match_key_bonds (subject, source, other, expires_at)
VALUES (:subject, :source, :other, :expires_at)
ON CONFLICT (subject, source, other) DO UPDATE SET
    expires_at = max(expires_at, excluded.expires_at);

-- name: forgettable_keys
-- Those of these subjects (hexadecimal), and those that were learned together with them.
WITH asked(subject) AS MATERIALIZED (SELECT unhex(value) FROM json_each(:subjects))
SELECT coalesce(sum(kinds), 0) FROM match_keys
WHERE expires_at > :now AND (:source IS NULL OR source = :source) AND (
    subject IN asked
    OR (subject, source) IN (
        SELECT other, source FROM match_key_bonds WHERE subject IN asked
    )
);

-- name: forget_match_keys
WITH asked(subject) AS MATERIALIZED (SELECT unhex(value) FROM json_each(:subjects))
DELETE FROM match_keys
WHERE (:source IS NULL OR source = :source) AND (
    subject IN asked
    OR (subject, source) IN (
        SELECT other, source FROM match_key_bonds WHERE subject IN asked
    )
);

-- name: bonds_back
-- A bond stands in both directions.
WITH asked(subject) AS MATERIALIZED (SELECT unhex(value) FROM json_each(:subjects))
DELETE FROM match_key_bonds
WHERE (subject, source, other) IN (
    SELECT other, source, subject FROM match_key_bonds
    WHERE subject IN asked AND (:source IS NULL OR source = :source)
);

-- name: forget_bonds
WITH asked(subject) AS MATERIALIZED (SELECT unhex(value) FROM json_each(:subjects))
DELETE FROM match_key_bonds
WHERE subject IN asked AND (:source IS NULL OR source = :source);

-- name: expire_match_keys
DELETE FROM match_keys WHERE (subject, source, destination) IN (
    SELECT subject, source, destination FROM match_keys
    WHERE expires_at <= :now ORDER BY expires_at LIMIT :limit
);

-- name: expire_bonds
DELETE FROM match_key_bonds WHERE (subject, source, other) IN (
    SELECT subject, source, other FROM match_key_bonds
    WHERE expires_at <= :now ORDER BY expires_at LIMIT :limit
);

-- name: forget_all_match_keys
DELETE FROM match_keys;

-- name: forget_all_bonds
DELETE FROM match_key_bonds;

-- name: count_match_key
INSERT INTO match_key_counts (day, destination, key, events, before, after)
VALUES (:day, :destination, :key, :events, :before, :after)
ON CONFLICT (day, destination, key) DO UPDATE SET
    events = events + excluded.events,
    before = before + excluded.before,
    after = after + excluded.after;

-- name: expire_counts
DELETE FROM match_key_counts WHERE day < :day;

-- name: match_key_counts
SELECT json_group_array(
    json_array(day, destination, key, events, before, after) ORDER BY day, destination, key
)
FROM match_key_counts WHERE day BETWEEN :since AND :until;
