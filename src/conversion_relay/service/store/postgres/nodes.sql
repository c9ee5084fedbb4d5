-- What the nodes share. Here the database's own clock counts.

-- name: beat
-- The key with which it seals is in use; once a minute is enough to know.
WITH gone AS (
    DELETE FROM nodes
    WHERE seen_at < clock_timestamp() - interval '1 day' AND node <> $1
),
sealing AS (
    UPDATE sealing_keys SET used_at = clock_timestamp()
    WHERE key_id = $9 AND used_at < clock_timestamp() - interval '1 minute'
)
INSERT INTO nodes
    (node, role, release, address, started_at, seen_at, clock_offset, configuration, readings)
VALUES
    ($1, $2, $3, $4, $5, clock_timestamp(),
     extract(epoch FROM $6::timestamptz - clock_timestamp())::float8, $7, $8)
ON CONFLICT (node) DO UPDATE SET
    role = excluded.role,
    release = excluded.release,
    address = excluded.address,
    started_at = excluded.started_at,
    seen_at = excluded.seen_at,
    clock_offset = excluded.clock_offset,
    configuration = excluded.configuration,
    readings = excluded.readings;

-- name: leave
WITH released AS (
    DELETE FROM duties WHERE node = $1
)
DELETE FROM nodes WHERE node = $1;

-- name: nodes
SELECT
    node,
    role,
    release,
    address,
    started_at,
    clock_offset,
    configuration,
    readings,
    greatest(clock_timestamp() - seen_at, interval '0') AS silent_for,
    ARRAY(
        SELECT duty FROM duties
        WHERE duties.node = nodes.node AND until > clock_timestamp()
        ORDER BY duty
    ) AS duties
FROM nodes
WHERE seen_at > clock_timestamp() - interval '1 day'
ORDER BY node COLLATE "C";

-- name: hold_duty
INSERT INTO duties (duty, node, until)
VALUES ($1, $2, clock_timestamp() + $3::interval)
ON CONFLICT (duty) DO UPDATE SET node = excluded.node, until = excluded.until
WHERE duties.node = excluded.node OR duties.until <= clock_timestamp()
RETURNING true;

-- name: tell
SELECT pg_notify(channel, $2) FROM unnest($1::text[]) AS channel;
