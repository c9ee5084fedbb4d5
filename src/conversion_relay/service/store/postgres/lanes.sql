-- Named queries: lanes, as all nodes have them.

-- name: lane
SELECT credential, condition, since, reason, revision, value, clock_timestamp()
FROM lanes WHERE destination = $1;

-- name: change_lane
-- What a crash of the server makes it forget of a lane, the next answers tell: no commit waits.
WITH careless AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
UPDATE lanes SET
    credential = $3, condition = $4, since = $5, reason = $6, value = $7, revision = revision + 1
FROM careless
WHERE destination = $1 AND revision = $2
RETURNING revision;

-- name: first_lane
INSERT INTO lanes (destination, revision, credential, condition, since, reason, value)
VALUES ($1, $2 + 1, $3, $4, $5, $6, $7)
ON CONFLICT (destination) DO UPDATE SET
    credential = excluded.credential,
    condition = excluded.condition,
    since = excluded.since,
    reason = excluded.reason,
    value = excluded.value,
    revision = excluded.revision
WHERE lanes.revision = $2
RETURNING revision;
