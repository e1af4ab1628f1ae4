-- name: known_outcomes
-- Orders already placed under some (participant, client order id) pairs.
SELECT orders.id, orders.participant_id, orders.client_order_id, orders.fingerprint
FROM unnest($1::bigint[], $2::text[]) AS asked (participant_id, client_order_id)
JOIN orders USING (participant_id, client_order_id);

-- name: update_orders
-- Orders of earlier commits as the batch left them.
UPDATE orders
SET status = moved.status, reason = moved.reason, quantity_gpus = moved.quantity_gpus,
    filled_gpus = moved.filled_gpus, filled_gpu_hours = moved.filled_gpu_hours,
    filled_notional_fen = moved.filled_notional_fen, eligible_notional_fen = moved.eligible_notional_fen,
    run_starts_hour = moved.run_starts_hour, updated_at = $10
FROM unnest(
    $1::bigint[], $2::text[], $3::text[], $4::integer[], $5::integer[], $6::bigint[], $7::bigint[], $8::bigint[],
    $9::integer[])
    AS moved (id, status, reason, quantity_gpus, filled_gpus, filled_gpu_hours, filled_notional_fen,
        eligible_notional_fen, run_starts_hour)
WHERE orders.id = moved.id;

-- name: move_head
-- Every commit moves the head under its leader's epoch. No row: another leader has taken over.
UPDATE partition_head
SET last_sequence = $4, last_hash = $5, last_event_at = $6
WHERE partition_id = $1 AND epoch = $2 AND last_sequence = $3
RETURNING partition_id;

-- name: take_partition
-- Become the leader: the next epoch fences every older one.
INSERT INTO partition_head (partition_id, epoch, last_sequence, last_hash, last_event_at)
VALUES ($1, 1, 0, $2, $3)
ON CONFLICT (partition_id) DO UPDATE SET epoch = partition_head.epoch + 1
RETURNING epoch, last_sequence, last_hash, last_event_at;

-- name: read_head
-- Where a partition stands, once a commit that may still be under way has ended.
SELECT epoch, last_sequence, last_hash, last_event_at FROM partition_head WHERE partition_id = $1 FOR UPDATE;

-- name: latest_event_at
-- The latest venue time that any partition has committed.
SELECT max(last_event_at) AS last_event_at FROM partition_head;

-- name: read_journal
-- Commands and events of a partition after a sequence, oldest first.
SELECT sequence, product_id, event_at, command, events, hash
FROM journal WHERE partition_id = $1 AND sequence > $2
ORDER BY sequence
LIMIT $3;

-- name: read_snapshots
-- The latest stored books of a partition.
SELECT product_id, sequence, book FROM book_snapshot WHERE partition_id = $1;

-- name: put_snapshots
-- Store books as they stand at a sequence.
INSERT INTO book_snapshot (partition_id, product_id, sequence, book)
SELECT $1, product_id, $2, book FROM unnest($3::text[], $4::bytea[]) AS taken (product_id, book)
ON CONFLICT (partition_id, product_id) DO UPDATE SET sequence = EXCLUDED.sequence, book = EXCLUDED.book
    WHERE book_snapshot.sequence < EXCLUDED.sequence;

-- name: live_orders
-- The orders of a partition that can still change.
SELECT orders.*, coalesce(participant.trade_group_id, 0) AS trade_group_id
FROM orders
JOIN participant ON participant.id = orders.participant_id
WHERE orders.partition_id = $1 AND orders.status IN ('accepted', 'resting', 'partially_filled')
ORDER BY orders.id;

-- name: orders_of_participant
-- A page of a participant's orders, newest first.
SELECT *
FROM orders
WHERE participant_id = $1 AND id < $2
    AND ($3::text IS NULL OR product_id = $3)
    AND ($4::text IS NULL OR side = $4)
    AND ($5::text[] IS NULL OR status = ANY ($5))
    AND ($6::text IS NULL OR client_order_id = $6)
ORDER BY id DESC
LIMIT $7;

-- name: order_of_participant
-- One order, if it is the participant's own.
SELECT * FROM orders WHERE id = $1 AND participant_id = $2;

-- name: partition_of_order
-- Which partition and product an order of the participant belongs to.
SELECT partition_id, product_id, status FROM orders WHERE id = $1 AND participant_id = $2;
