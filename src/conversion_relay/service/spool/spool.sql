-- Named queries of the spool.

-- name: last_id
SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'records'), 0);

-- name: totals
SELECT coalesce(sum(events), 0), coalesce(sum(length(sealed)), 0) FROM records;

-- name: aside
SELECT coalesce(sum(events), 0) FROM records WHERE aside;

-- name: oldest
SELECT min(received_at) FROM records;

-- name: keep
INSERT INTO records (id, events, received_at, sealed) VALUES (?, ?, ?, ?);

-- name: next
-- What was in vain before comes after what was not.
SELECT id, events, sealed FROM records
WHERE NOT aside ORDER BY tries, id LIMIT :limit;

-- name: set_aside
UPDATE records SET aside = 1 WHERE id IN (SELECT value FROM json_each(:records));

-- name: try_all_again
-- The key that was missing may be back.
UPDATE records SET aside = 0 WHERE aside;

-- name: put_behind
UPDATE records SET tries = tries + 1 WHERE id IN (SELECT value FROM json_each(:records));

-- name: remove
DELETE FROM records WHERE id IN (SELECT value FROM json_each(:records));
