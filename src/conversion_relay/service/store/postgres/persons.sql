-- Named queries: what is remembered of persons, and forgetting them.

-- name: lock_subject_key
SELECT pg_advisory_xact_lock($1);

-- name: subject_key
SELECT sealed FROM subject_key;

-- name: keep_subject_key
INSERT INTO subject_key (id, sealed) VALUES (1, $1)
ON CONFLICT (id) DO UPDATE SET sealed = excluded.sealed;

-- name: forget_all_match_keys
TRUNCATE match_keys, match_key_bonds;

-- name: untell_subjects
-- Without their key hashes say nothing: in each place stands $1 instead, that only an original tells.
UPDATE event_subjects SET hashes = decode(repeat($1, length(hashes) / 8), 'hex');

-- Remembering.

-- name: lock_owners
-- Those that are new get a row, those that are there are locked, all of them in one order: no two
-- nodes wait for each other, and the later one merges with what the earlier one learned.
INSERT INTO match_keys (subject, source, destination, expires_at, kinds, sealed)
SELECT subject, source, destination, 0, 0, ''
FROM unnest($1::bytea[], $2::text[], $3::text[]) AS given (subject, source, destination)
ORDER BY subject, source, destination
ON CONFLICT (subject, source, destination) DO UPDATE SET kinds = 0 WHERE false;

-- name: match_keys_of_owners
SELECT subject, source, destination, sealed
FROM unnest($1::bytea[], $2::text[], $3::text[]) AS given (subject, source, destination)
JOIN match_keys USING (subject, source, destination)
WHERE expires_at > $4;

-- name: keep_match_keys
UPDATE match_keys SET
    expires_at = given.expires_at, kinds = given.kinds, sealed = given.sealed
FROM unnest($1::bytea[], $2::text[], $3::text[], $4::bigint[], $5::integer[], $6::bytea[])
    AS given (subject, source, destination, expires_at, kinds, sealed)
WHERE match_keys.subject = given.subject
    AND match_keys.source = given.source
    AND match_keys.destination = given.destination;

-- name: keep_bonds
INSERT INTO match_key_bonds (subject, source, other, expires_at)
SELECT subject, source, other, expires_at
FROM unnest($1::bytea[], $2::text[], $3::bytea[], $4::bigint[])
    AS given (subject, source, other, expires_at)
ORDER BY subject, source, other
ON CONFLICT (subject, source, other) DO UPDATE SET
    expires_at = greatest(match_key_bonds.expires_at, excluded.expires_at);

-- name: match_keys_of
-- What is remembered for these subjects and is not too old.
SELECT subject, source, destination, sealed FROM match_keys
WHERE subject = ANY ($1::bytea[]) AND source = $2 AND expires_at > $3;

-- name: count_match_keys
INSERT INTO match_key_counts (day, destination, key, events, before, after)
SELECT * FROM unnest(
    $1::integer[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[]
);

-- name: match_key_counts
SELECT
    day, destination, key,
    sum(events)::bigint AS events, sum(before)::bigint AS before, sum(after)::bigint AS after
FROM match_key_counts
WHERE day BETWEEN $1 AND $2
GROUP BY day, destination, key
ORDER BY day, destination, key;

-- name: fold_match_key_counts
-- Some of the rows of days that have several of one kind become one of each; gives how many.
WITH folded AS (
    DELETE FROM match_key_counts WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM match_key_counts
        WHERE day IN (
            SELECT day FROM match_key_counts
            GROUP BY day HAVING count(*) > count(DISTINCT (destination, key))
        )
        LIMIT $1 FOR UPDATE SKIP LOCKED
    ))
    RETURNING day, destination, key, events, before, after
),
kept AS (
    INSERT INTO match_key_counts (day, destination, key, events, before, after)
    SELECT day, destination, key, sum(events), sum(before), sum(after)
    FROM folded GROUP BY day, destination, key
)
SELECT count(*) FROM folded;

-- name: expire_match_keys
WITH gone AS (
    DELETE FROM match_keys WHERE (subject, source, destination) IN (
        SELECT subject, source, destination FROM match_keys
        WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
    )
    RETURNING 1
)
SELECT count(*) FROM gone;

-- name: expire_bonds
WITH gone AS (
    DELETE FROM match_key_bonds WHERE (subject, source, other) IN (
        SELECT subject, source, other FROM match_key_bonds
        WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
    )
    RETURNING 1
)
SELECT count(*) FROM gone;

-- name: expire_key_counts
DELETE FROM match_key_counts WHERE day < $1;

-- Forgetting match keys: those of subjects, and those that were learned together with them.

-- name: forgettable_keys
SELECT coalesce(sum(kinds), 0)::bigint FROM match_keys
WHERE expires_at > $3 AND ($2::text IS NULL OR source = $2) AND (
    subject = ANY ($1::bytea[])
    OR (subject, source) IN (
        SELECT other, source FROM match_key_bonds WHERE subject = ANY ($1::bytea[])
    )
);

-- name: lock_forgotten_keys
-- In the order in which they are learned; whoever learns just now is waited for.
SELECT subject FROM match_keys
WHERE ($2::text IS NULL OR source = $2) AND (
    subject = ANY ($1::bytea[])
    OR (subject, source) IN (
        SELECT other, source FROM match_key_bonds WHERE subject = ANY ($1::bytea[])
    )
)
ORDER BY subject, source, destination FOR UPDATE;

-- name: forget_match_keys
-- Gives how many match keys that were which have not expired.
WITH gone AS (
    DELETE FROM match_keys
    WHERE ($2::text IS NULL OR source = $2) AND (
        subject = ANY ($1::bytea[])
        OR (subject, source) IN (
            SELECT other, source FROM match_key_bonds WHERE subject = ANY ($1::bytea[])
        )
    )
    RETURNING kinds, expires_at
)
SELECT coalesce(sum(kinds) FILTER (WHERE expires_at > $3), 0)::bigint FROM gone;

-- name: lock_forgotten_bonds
SELECT subject FROM match_key_bonds
WHERE ($2::text IS NULL OR source = $2)
    AND (subject = ANY ($1::bytea[]) OR (subject, source, other) IN (
        SELECT other, source, subject FROM match_key_bonds WHERE subject = ANY ($1::bytea[])
    ))
ORDER BY subject, source, other FOR UPDATE;

-- name: forget_bonds
-- A bond stands in both directions.
DELETE FROM match_key_bonds
WHERE ($2::text IS NULL OR source = $2)
    AND (subject = ANY ($1::bytea[]) OR (subject, source, other) IN (
        SELECT other, source, subject FROM match_key_bonds WHERE subject = ANY ($1::bytea[])
    ));

-- Forgetting events. What belongs to an event has ids of its day: that says in which partitions it is.

-- name: newest_subjects
SELECT coalesce(max(first_event), -1) FROM event_subjects;

-- name: next_subjects
SELECT first_event, hashes FROM event_subjects
WHERE first_event > $1 AND first_event <= $2 ORDER BY first_event LIMIT $3;

-- name: of_source
-- Those of these events that are kept, of this source or of any.
SELECT id FROM events
WHERE id = ANY ($1::bigint[]) AND ($2::text IS NULL OR source = $2) ORDER BY id;

-- name: what_is_kept
-- Of these events: how many there are, and how many have their original.
SELECT count(*), count(*) FILTER (WHERE chunk.last_event >= events.id)
FROM events
LEFT JOIN LATERAL (
    SELECT last_event FROM originals
    WHERE first_event BETWEEN events.id >> 36 << 36 AND events.id
    ORDER BY first_event DESC LIMIT 1
) AS chunk ON true
WHERE events.id = ANY ($1::bigint[]);

-- name: states_of
-- The deliveries of these events, whose ids lie between the last two numbers.
SELECT state, count(*) FROM deliveries
WHERE event = ANY ($1::bigint[]) AND id >= $2 AND id < $3 GROUP BY state;

-- name: lock_originals
-- Whoever takes events out of a chunk locks it first: what is sealed anew holds what is left then.
SELECT first_event, last_event, sealed FROM originals
WHERE first_event = ANY ($1::bigint[]) ORDER BY first_event FOR UPDATE;

-- name: left_in_chunks
-- The events between the first and last ones of chunks, without those of the last argument.
SELECT given.first_event, kept.id
FROM unnest($1::bigint[], $2::bigint[]) AS given (first_event, last_event)
CROSS JOIN LATERAL (
    SELECT id FROM events
    WHERE id BETWEEN given.first_event AND given.last_event AND id <> ALL ($3::bigint[])
) AS kept;

-- name: lock_events
SELECT id FROM events WHERE id = ANY ($1::bigint[]) ORDER BY id FOR UPDATE;

-- name: lock_deliveries_of
SELECT id, state FROM deliveries
WHERE event = ANY ($1::bigint[]) AND id >= $2 AND id < $3 ORDER BY id FOR UPDATE;

-- name: erase_attempts
DELETE FROM attempts WHERE delivery = ANY ($1::bigint[]);

-- name: erase_bodies
DELETE FROM bodies WHERE delivery = ANY ($1::bigint[]);

-- name: erase_deliveries
DELETE FROM deliveries WHERE id = ANY ($1::bigint[]);

-- name: erase_events
DELETE FROM events WHERE id = ANY ($1::bigint[]);

-- name: erase_originals
DELETE FROM originals WHERE first_event = ANY ($1::bigint[]);

-- name: erase_subjects
DELETE FROM event_subjects WHERE first_event = ANY ($1::bigint[]);

-- name: keep_thinned
UPDATE originals SET sealed = given.sealed, thin = false
FROM unnest($1::bigint[], $2::bytea[]) AS given (first_event, sealed)
WHERE originals.first_event = given.first_event;

-- name: lock_hashes
SELECT first_event, hashes FROM event_subjects
WHERE first_event = ANY ($1::bigint[]) ORDER BY first_event FOR UPDATE;

-- name: change_hashes
UPDATE event_subjects SET hashes = given.hashes
FROM unnest($1::bigint[], $2::bytea[]) AS given (first_event, hashes)
WHERE event_subjects.first_event = given.first_event;
