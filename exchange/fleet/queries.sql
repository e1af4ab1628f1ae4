-- name: take_lease
-- Take a partition's lease where it is over, or ours, or by force; no row where another process holds it. In epoch 0
-- until the new leader's books are built.
INSERT INTO partition_lease AS held (partition_id, holder, epoch, leads_until)
VALUES ($1, $2, 0, clock_timestamp() + make_interval(secs => $3))
ON CONFLICT (partition_id) DO UPDATE SET holder = EXCLUDED.holder, epoch = EXCLUDED.epoch, leads_until = EXCLUDED.leads_until
    WHERE $4 OR held.holder = EXCLUDED.holder OR held.leads_until <= clock_timestamp()
RETURNING partition_id;

-- name: renew_lease
-- Hold a lease for longer, also one that is over; no row where another process has taken it.
UPDATE partition_lease SET epoch = $3, leads_until = clock_timestamp() + make_interval(secs => $4)
WHERE partition_id = $1 AND holder = $2
RETURNING partition_id;

-- name: end_lease
-- Let another process take a lease at once.
UPDATE partition_lease SET leads_until = clock_timestamp()
WHERE partition_id = $1 AND holder = $2
RETURNING partition_id;

-- name: leases
-- Every partition's lease, and for how long it is over: negative while it is held.
SELECT partition_id, holder, epoch, extract(epoch FROM clock_timestamp() - leads_until)::float8 AS over_s
FROM partition_lease;
