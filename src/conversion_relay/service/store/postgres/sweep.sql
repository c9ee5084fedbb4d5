-- Removing what has outlived its retention, and keeping the tables small.

-- name: sweep_alone
-- Until the end of the transaction no other node sweeps; false: another one does.
SELECT pg_try_advisory_xact_lock($1);

-- name: wait_for_locks
-- So long at most, in this transaction.
SELECT set_config('lock_timeout', $1, true);

-- name: clocks_ahead
-- By how much the clock of any node that was here lately is ahead of ours, in seconds.
SELECT greatest(0, max(clock_offset) - (
    SELECT coalesce(
        min(clock_offset) FILTER (WHERE node = $1), min(clock_offset)
    ) FROM nodes
))
FROM nodes WHERE seen_at > now() - interval '10 minutes';

-- name: ahead
-- What waits longer than any rule lets it.
SELECT found.id
FROM envelopes CROSS JOIN LATERAL (
    SELECT id FROM deliveries
    WHERE deliveries.envelope = envelopes.id AND due_at > $1
    LIMIT $2 FOR UPDATE SKIP LOCKED
) AS found
LIMIT $2;

-- name: pull_back
-- It goes now, unless it is on its way, and no send of it may lie ahead. When it was accepted stays:
-- should the clock only be behind for once, it would be too old afterwards.
UPDATE deliveries SET
    due_at = CASE state WHEN 'claimed' THEN $3::bigint ELSE $2::bigint END,
    claimed_at = CASE WHEN claimed_at > $2 THEN $2 ELSE claimed_at END,
    first_unknown_at = CASE WHEN first_unknown_at > $2 THEN $2 ELSE first_unknown_at END
WHERE id = ANY($1::bigint[]);

-- name: held_ahead
-- What is held has no time at which it goes, but a send of it must not lie ahead either.
SELECT found.id
FROM envelopes CROSS JOIN LATERAL (
    SELECT id FROM deliveries
    WHERE deliveries.envelope = envelopes.id AND state = 'held' AND first_unknown_at > $1
    LIMIT $2 FOR UPDATE SKIP LOCKED
) AS found
LIMIT $2;

-- name: pull_back_held
UPDATE deliveries SET first_unknown_at = $2 WHERE id = ANY($1::bigint[]);

-- name: pull_back_ledger
-- A slot that was left is only kept longer: should the clock just be behind for once, its ids would
-- be forgotten afterwards.
UPDATE ledger_slots SET since = $1 WHERE since > $2 AND left_at IS NULL;

-- name: fold_event_counts
-- One statement: whoever adds up meanwhile sees all of what was there, or all of what takes its
-- place.
WITH folded AS (DELETE FROM event_counts RETURNING day, disposition, change)
INSERT INTO event_counts
SELECT day, disposition, sum(change) FROM folded GROUP BY 1, 2 HAVING sum(change) <> 0;

-- name: fold_delivery_counts
WITH folded AS (DELETE FROM delivery_counts RETURNING day, envelope, state, change)
INSERT INTO delivery_counts
SELECT day, envelope, state, sum(change) FROM folded GROUP BY 1, 2, 3 HAVING sum(change) <> 0;

-- name: outlived
-- The next events of a disposition, with ids from $5 to $6.
SELECT id, received_at FROM events
WHERE disposition = $1 AND (received_at, id) > ($2::bigint, $3::bigint) AND received_at <= $4
    AND id >= $5 AND id < $6
ORDER BY received_at, id LIMIT $7;

-- name: held_back
-- Which of these events have a delivery that keeps them; deliveries have ids from $2 to $3.
SELECT DISTINCT event FROM deliveries
WHERE event = ANY($1::bigint[]) AND id >= $2 AND id < $3 AND (
    state IN ('pending', 'claimed', 'held')
    OR state IN ('dead', 'uncertain', 'suppressed') AND coalesce(settled_at, accepted_at) > $4
);

-- name: lock_chunks
SELECT first_event FROM originals
WHERE first_event = ANY($1::bigint[]) ORDER BY first_event FOR UPDATE;

-- name: emptied_chunks
SELECT first_event FROM originals
WHERE first_event = ANY($1::bigint[]) AND NOT EXISTS (
    SELECT FROM events WHERE id BETWEEN first_event AND last_event
);

-- name: mark_to_thin
UPDATE originals SET thin = true WHERE first_event = ANY($1::bigint[]) AND NOT thin;

-- name: lock_thin
SELECT first_event, last_event, sealed FROM originals
WHERE thin ORDER BY first_event LIMIT $1 FOR UPDATE SKIP LOCKED;

-- name: old_days
-- The days before $1: how many events they have, and how many deliveries that wait, or that ended
-- without having been delivered.
SELECT
    day, coalesce(kept.events, 0)::bigint AS events, coalesce(ends.waiting, 0)::bigint AS waiting,
    coalesce(ends.undelivered, 0)::bigint AS undelivered
FROM days
LEFT JOIN (
    SELECT day, sum(change) AS events FROM event_counts WHERE day < $1 GROUP BY day
) AS kept USING (day)
LEFT JOIN (
    SELECT
        day, sum(change) FILTER (WHERE state IN ('pending', 'claimed', 'held')) AS waiting,
        sum(change) FILTER (WHERE state IN ('dead', 'uncertain', 'suppressed')) AS undelivered
    FROM delivery_counts WHERE day < $1 GROUP BY day
) AS ends USING (day)
WHERE day < $1 ORDER BY day;

-- name: has_dead_letters
-- Whether of the deliveries from $1 to $2 one ended after $3 without having been delivered.
SELECT EXISTS (
    SELECT FROM deliveries
    WHERE id >= $1 AND id < $2 AND state IN ('dead', 'uncertain', 'suppressed')
        AND coalesce(settled_at, accepted_at) > $3
);

-- name: looked_after
-- Whether one of these tables is being vacuumed or analysed.
SELECT EXISTS (
    SELECT FROM pg_locks
    WHERE relation = ANY($1::text[]::regclass[]) AND mode = 'ShareUpdateExclusiveLock'
);

-- name: sizes_of
SELECT coalesce(sum(pg_total_relation_size(name::regclass)), 0)::bigint
FROM unnest($1::text[]) AS given (name);

-- name: forget_event_counts
DELETE FROM event_counts WHERE day = $1;

-- name: forget_delivery_counts
DELETE FROM delivery_counts WHERE day = $1;

-- name: forget_day
DELETE FROM days WHERE day = $1;

-- name: read_by_index
SELECT set_config('enable_seqscan', 'off', true);

-- name: read_as_planned
SELECT set_config('enable_seqscan', 'on', true);

-- name: ledger_slots
SELECT slot, since, left_at FROM ledger_slots ORDER BY slot;

-- name: lock_ledger
SELECT pg_advisory_xact_lock($1);

-- name: look_at_slot
UPDATE ledger_slots SET since = $2 WHERE slot = $1 AND since IS NULL;

-- name: leave_slot
UPDATE ledger_slots SET left_at = $2 WHERE slot = $1;

-- name: enter_slot
INSERT INTO ledger_slots (slot, since) VALUES ($1, $2);

-- name: forget_slot
DELETE FROM ledger_slots WHERE slot = $1;

-- name: rows_about
-- How many rows a table has, as vacuum last saw it; -1: it never did.
SELECT reltuples::bigint FROM pg_class WHERE oid = $1::text::regclass;

-- name: expire_requests
DELETE FROM requests WHERE id IN (
    SELECT id FROM requests WHERE sent_at <= $1 ORDER BY sent_at, id LIMIT $2
);

-- name: expire_flow
DELETE FROM flow WHERE (minute, measure, labels) IN (
    SELECT minute, measure, labels FROM flow WHERE minute < $1 ORDER BY minute LIMIT $2
);

-- name: expire_alerts
DELETE FROM alerts WHERE id IN (SELECT id FROM alerts WHERE resolved_at <= $1 LIMIT $2);

-- name: expire_versions
DELETE FROM configurations WHERE id IN (
    SELECT id FROM configurations ORDER BY id DESC LIMIT $2 OFFSET $1
);

-- name: expire_proposals
-- All but the newest, once nobody can wait for what became of them.
DELETE FROM proposals WHERE id IN (
    SELECT id FROM proposals
    WHERE proposed_at < now() - interval '7 days' AND id < (SELECT max(id) FROM proposals)
    LIMIT $1
);

-- name: expire_duties
DELETE FROM duties WHERE until < now() - interval '1 day';
