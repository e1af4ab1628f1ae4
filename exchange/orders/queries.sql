-- name: known_outcomes
-- Orders already placed under some (participant, client order id) pairs, as they were placed at first. LIMIT keeps it a
-- look-up for each pair: a join would be planned to read every order while there are few, and go on to when there are many.
SELECT first.id, asked.participant_id, asked.client_order_id, first.fingerprint
FROM json_to_recordset($1::json) AS asked (participant_id bigint, client_order_id text)
CROSS JOIN LATERAL (
    SELECT orders.id, orders.fingerprint
    FROM orders
    WHERE orders.participant_id = asked.participant_id AND orders.client_order_id = asked.client_order_id
        AND orders.amendment = 0
    LIMIT 1
) AS first;

-- name: write_orders
-- Orders as the batch left them: new ones whole, those of earlier commits by what can change.
INSERT INTO orders (
    id, partition_id, sequence, participant_id, key_id, client_order_id, fingerprint, product_id, side,
    quantity_gpus, starts_hour, ends_hour, hours, price_ticks, terms, status, reason, denial,
    collar, filled_gpus, filled_gpu_hours, filled_notional_fen, eligible_fen, run_starts_hour, amendment, replaces_id,
    replaced_by_id, created_at, updated_at)
SELECT sent.id, sent.partition_id, sent.sequence, sent.participant_id, sent.key_id, sent.client_order_id,
    sent.fingerprint, sent.product_id, sent.side, sent.quantity_gpus, sent.starts_hour, sent.ends_hour, sent.hours,
    sent.price_ticks, sent.terms, sent.status, coalesce(sent.reason, ''), sent.denial, sent.collar,
    coalesce(sent.filled_gpus, 0), coalesce(sent.filled_gpu_hours, 0), coalesce(sent.filled_notional_fen, 0), coalesce(sent.eligible_fen, '{}'),
    sent.run_starts_hour, coalesce(sent.amendment, 0), sent.replaces_id, sent.replaced_by_id, $2::timestamptz,
    $2::timestamptz
FROM json_to_recordset($1::json) AS sent (
    id bigint, partition_id integer, sequence bigint, participant_id bigint, key_id bigint, client_order_id text,
    fingerprint bytea, product_id text, side text, quantity_gpus integer, starts_hour integer, ends_hour integer,
    hours integer, price_ticks bigint, terms json, status text, reason text, denial json, collar json,
    filled_gpus integer, filled_gpu_hours bigint, filled_notional_fen bigint, eligible_fen bigint[], run_starts_hour integer,
    amendment integer, replaces_id bigint, replaced_by_id bigint)
ON CONFLICT (id) DO UPDATE SET
    quantity_gpus = EXCLUDED.quantity_gpus, terms = EXCLUDED.terms, status = EXCLUDED.status, reason = EXCLUDED.reason,
    filled_gpus = EXCLUDED.filled_gpus, filled_gpu_hours = EXCLUDED.filled_gpu_hours,
    filled_notional_fen = EXCLUDED.filled_notional_fen, eligible_fen = EXCLUDED.eligible_fen,
    run_starts_hour = EXCLUDED.run_starts_hour, replaced_by_id = EXCLUDED.replaced_by_id,
    updated_at = EXCLUDED.updated_at;

-- name: reduce_asks
-- Asks that sold before they became smaller in the same batch.
UPDATE orders SET quantity_gpus = sent.quantity_gpus
FROM unnest($1::bigint[], $2::integer[]) AS sent (id, quantity_gpus)
WHERE orders.id = sent.id;

-- name: append
-- Every commit moves the head under its leader's epoch; the journal follows only where it moved, a sequence each row.
-- 0: another leader has taken over.
WITH moved AS (
    UPDATE partition_head
    SET last_sequence = $4, last_hash = $5, last_event_at = $6, intake_offset = $7
    WHERE partition_id = $1 AND epoch = $2 AND last_sequence = $3
    RETURNING partition_id
), written AS (
    INSERT INTO journal (partition_id, sequence, epoch, product_id, event_at, command, events, hash)
    SELECT moved.partition_id, $3 + sent.place, $2, sent.product_id, $6, sent.command, sent.events, sent.hash
    FROM moved, unnest($8::text[], $9::bytea[], $10::bytea[], $11::bytea[]) WITH ORDINALITY
        AS sent (product_id, command, events, hash, place)
)
SELECT count(*) FROM moved;

-- name: take_partition
-- Become the leader: the next epoch fences every older one. Its term is written down. Where the last commit was before
-- $5, nobody led in between.
WITH taken AS (
    INSERT INTO partition_head (partition_id, epoch, last_sequence, last_hash, last_event_at, served_since_at)
    VALUES ($1, 1, 0, $2, $3, $3)
    ON CONFLICT (partition_id) DO UPDATE SET epoch = partition_head.epoch + 1,
        served_since_at = CASE WHEN partition_head.last_event_at < $5 THEN $3 ELSE partition_head.served_since_at END
    RETURNING partition_id, epoch, last_sequence, last_hash, last_event_at, intake_offset, served_since_at
), term AS (
    INSERT INTO partition_term (partition_id, epoch, after_sequence, began_at, engine_version)
    SELECT partition_id, epoch, last_sequence, $3, $4 FROM taken
)
SELECT epoch, last_sequence, last_hash, last_event_at, intake_offset, served_since_at FROM taken;

-- name: read_head
-- Where a partition stands, once a commit that may still be under way has ended.
SELECT epoch, last_sequence, last_hash, last_event_at, intake_offset
FROM partition_head WHERE partition_id = $1
FOR UPDATE;

-- name: peek_head
-- Where a partition stands as of the last commit, for who only reads.
SELECT epoch, last_sequence, last_hash, last_event_at, intake_offset FROM partition_head WHERE partition_id = $1;

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
-- Store books as they stand at the head, where the leader of that epoch still leads and the head is still there.
INSERT INTO book_snapshot (partition_id, product_id, sequence, book)
SELECT head.partition_id, product_id, head.last_sequence, book
FROM (
    SELECT partition_id, last_sequence FROM partition_head
    WHERE partition_id = $1 AND epoch = $5 AND last_sequence = $2
    FOR SHARE
) AS head, unnest($3::text[], $4::bytea[]) AS taken (product_id, book)
ON CONFLICT (partition_id, product_id) DO UPDATE SET sequence = EXCLUDED.sequence, book = EXCLUDED.book
    WHERE book_snapshot.sequence < EXCLUDED.sequence;

-- name: live_orders
-- The orders of a partition that can still change.
SELECT orders.*, coalesce(participant.trade_group_id, 0) AS trade_group_id
FROM orders
JOIN participant ON participant.id = orders.participant_id
WHERE orders.partition_id = $1 AND orders.status IN ('accepted', 'resting', 'partially_filled')
ORDER BY orders.id;

-- name: live_bids_after
-- A page of the bids that can still fill, in the order of their ids.
SELECT *
FROM orders
WHERE id > $1 AND side = 'buy' AND status IN ('accepted', 'resting', 'partially_filled')
ORDER BY id
LIMIT $2;

-- name: orders_of_participant
-- A page of a participant's orders, newest first. `id > 0` is what its index asks for.
SELECT *
FROM orders
WHERE participant_id = $1 AND id < $2 AND id > 0
    AND ($3::text IS NULL OR product_id = $3)
    AND ($4::text IS NULL OR side = $4)
    AND ($5::text[] IS NULL OR status = ANY ($5))
    AND ($6::text IS NULL OR client_order_id = $6)
ORDER BY id DESC
LIMIT $7;

-- name: order_of_participant
-- One order, if it is the participant's own.
SELECT * FROM orders WHERE id = $1 AND participant_id = $2;

-- name: last_of_client_order_id
-- The order that amendments left last under a participant's client order id.
SELECT * FROM orders WHERE participant_id = $1 AND client_order_id = $2 ORDER BY amendment DESC LIMIT 1;

-- name: own_orders
-- Some orders, those that are the participant's own.
SELECT * FROM orders WHERE id = ANY ($1::bigint[]) AND participant_id = $2;

-- name: list_prices_of_asks
-- The list price that some asks were placed with; of all participants, for the exchange's own sums.
SELECT id, (terms ->> 'list_price_ticks')::bigint AS list_price_ticks FROM orders WHERE id = ANY ($1::bigint[]);

-- name: place_of_order
-- Where an order of the participant is traded.
SELECT partition_id, product_id FROM orders WHERE id = $1 AND participant_id = $2;

-- name: live_among
-- Those of a participant's orders with some client order ids that can still change, oldest first.
SELECT id, partition_id, client_order_id
FROM orders
WHERE participant_id = $1 AND status IN ('accepted', 'resting', 'partially_filled')
    AND client_order_id = ANY ($2::text[])
ORDER BY id;

-- name: set_switch
-- Set, put off or (without seconds) take away a participant's switch in some partitions; when it fires.
WITH due AS MATERIALIZED (
    SELECT clock_timestamp() + $4::integer * INTERVAL '1 second' AS fires_at
)
INSERT INTO cancel_switch (participant_id, partition_id, key_id, fires_at)
SELECT $1, partition_id, $2, due.fires_at FROM unnest($3::integer[]) AS partition_id, due
ON CONFLICT (participant_id, partition_id) DO UPDATE SET key_id = EXCLUDED.key_id, fires_at = EXCLUDED.fires_at
RETURNING fires_at;

-- name: due_switches
-- The switches of some partitions whose time has come, the longest due first.
SELECT partition_id, participant_id, key_id, fires_at
FROM cancel_switch
WHERE partition_id = ANY ($1::integer[]) AND fires_at <= clock_timestamp()
ORDER BY fires_at
LIMIT $2;

-- name: end_switches
-- Take switches away that have fired, where they are still as they were seen.
UPDATE cancel_switch SET fires_at = NULL
FROM unnest($1::bigint[], $2::integer[], $3::timestamptz[]) AS fired (participant_id, partition_id, fires_at)
WHERE cancel_switch.participant_id = fired.participant_id AND cancel_switch.partition_id = fired.partition_id
    AND cancel_switch.fires_at = fired.fires_at;
