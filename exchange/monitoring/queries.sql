-- name: tell_process
-- What a process says of itself.
INSERT INTO process AS told (name, role, report) VALUES ($1, $2, $3)
ON CONFLICT (name) DO UPDATE SET seen_at = clock_timestamp(), report = EXCLUDED.report;

-- name: forget_process
-- A process says that it stops.
DELETE FROM process WHERE name = $1;

-- name: forget_processes
-- Forget processes that have said nothing for some seconds.
DELETE FROM process WHERE seen_at < clock_timestamp() - make_interval(secs => $1);

-- name: processes
-- What every process said last, and when.
SELECT name, role, report,
    extract(epoch FROM clock_timestamp() - started_at)::float8 AS up_s,
    extract(epoch FROM clock_timestamp() - seen_at)::float8 AS seen_s_ago
FROM process ORDER BY role, started_at, name;

-- name: partitions
-- Where every partition stands: its last commit, its lease (for how much longer it is held), the last mark of its books.
SELECT head.partition_id, head.last_sequence, head.last_event_at, lease.holder, lease.epoch,
    extract(epoch FROM lease.leads_until - clock_timestamp())::float8 AS holds_for_s,
    (SELECT max(mark.sequence) FROM book_mark AS mark WHERE mark.partition_id = head.partition_id) AS marked_sequence
FROM partition_head AS head LEFT JOIN partition_lease AS lease USING (partition_id)
ORDER BY head.partition_id;

-- name: alerts_position
-- How far the record was read for alerts, by what is stored or what its reader says; and how many records came after.
SELECT latest.event_at, coalesce((SELECT max(id) FROM audit_record), 0) - read.id AS behind_records
FROM (SELECT greatest(record_id, $1) AS id FROM alert_position WHERE name = 'alerts') AS read
LEFT JOIN LATERAL (
    SELECT event_at FROM audit_record WHERE id <= read.id ORDER BY id DESC LIMIT 1
) AS latest ON true;

-- name: summaries_position
-- How far the record is summed up, and how many records came after, counted to a limit.
SELECT position.event_at, (
    SELECT count(*) FROM (
        SELECT FROM audit_record WHERE xact_id >= position.xact_id LIMIT $1
    ) AS unread) AS behind_records
FROM report_position AS position;

-- name: database_state
-- How large the database is, and for how long its oldest transaction has been open, ours apart.
SELECT pg_database_size(current_database()) AS size_bytes, coalesce(max(extract(epoch FROM
    clock_timestamp() - xact_start)) FILTER (WHERE pid <> pg_backend_pid()), 0)::float8 AS oldest_transaction_s
FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend';

-- name: phase_changes
-- The last changes of products' phases, newest first.
SELECT record.event_at, record.product_id, record.detail ->> 'phase' AS phase, record.detail ->> 'reason' AS reason,
    record.actor_participant_id, record.key_id, actor.name AS actor_name
FROM audit_record AS record JOIN participant AS actor ON actor.id = record.actor_participant_id
WHERE record.code = 'PHAS'
ORDER BY record.id DESC LIMIT $1;
