-- name: plan_each_time
-- Plan the transaction's statements for the filters at hand: which index serves depends on what is given.
SET LOCAL plan_cache_mode = 'force_custom_plan';

-- name: plan_once
-- Plan what the transaction still asks without its arguments: once a connection, however often it is asked.
SET LOCAL plan_cache_mode = 'force_generic_plan';

-- name: resolve_names
-- What the names in a filter stand for: the products, the members of the group, and whether each name exists.
SELECT
    ARRAY(
        SELECT product.id FROM product
        JOIN accelerator ON accelerator.id = product.accelerator_id
        JOIN cluster ON cluster.code = product.cluster_code
        WHERE ($1::TEXT IS NULL OR product.id = $1)
            AND ($2::TEXT IS NULL OR product.accelerator_id = $2)
            AND ($3::TEXT IS NULL OR accelerator.origin = $3)
            AND ($4::TEXT IS NULL OR cluster.hub_code = $4)
        ORDER BY product.id
    ) AS product_ids,
    ARRAY(SELECT id FROM participant WHERE trade_group_id = $8 ORDER BY id) AS group_member_ids,
    ARRAY(SELECT id FROM participant WHERE region = $10 ORDER BY id) AS region_member_ids,
    $1::TEXT IS NULL OR EXISTS (SELECT FROM product WHERE id = $1) AS product,
    $2::TEXT IS NULL OR EXISTS (SELECT FROM accelerator WHERE id = $2) AS accelerator,
    $4::TEXT IS NULL OR EXISTS (SELECT FROM hub WHERE code = $4) AS hub,
    $5::BIGINT IS NULL OR EXISTS (SELECT FROM participant WHERE id = $5) AS participant,
    $6::BIGINT IS NULL OR EXISTS (SELECT FROM participant WHERE id = $6) AS buyer,
    $7::BIGINT IS NULL OR EXISTS (SELECT FROM participant WHERE id = $7) AS provider,
    $8::BIGINT IS NULL OR EXISTS (SELECT FROM trade_group WHERE id = $8) AS trade_group,
    $9::BIGINT IS NULL OR EXISTS (SELECT FROM programme WHERE id = $9) AS programme,
    $10::TEXT IS NULL OR EXISTS (SELECT FROM participant WHERE region = $10) AS region,
    $11::BIGINT IS NULL OR EXISTS (SELECT FROM orders WHERE id = $11) AS order_id;

-- part: trade_fits
-- Whether a trade, of `trade` or of `oversight_trade`, fits the filter in $1 to $13; null restricts nothing.
($1::TIMESTAMPTZ IS NULL OR traded_at >= $1)
    AND ($2::TIMESTAMPTZ IS NULL OR traded_at < $2)
    AND ($3::TEXT[] IS NULL OR product_id = ANY ($3))
    AND ($4::BIGINT IS NULL OR buyer_id = $4 OR provider_id = $4)
    AND ($5::BIGINT[] IS NULL OR buyer_id = ANY ($5) OR provider_id = ANY ($5))
    AND ($6::BIGINT IS NULL OR buyer_id = $6)
    AND ($7::BIGINT IS NULL OR provider_id = $7)
    AND ($8::TEXT IS NULL OR aggressor = $8)
    AND ($9::BIGINT IS NULL OR price_ticks >= $9)
    AND ($10::BIGINT IS NULL OR price_ticks <= $10)
    AND ($11::BIGINT IS NULL OR (cardinality(programme_ids) > 0 AND programme_ids @> ARRAY[$11::BIGINT]))
    AND ($12::BOOLEAN IS NULL OR (cardinality(programme_ids) > 0) = $12)
    AND ($13::BIGINT[] IS NULL OR buyer_id = ANY ($13) OR provider_id = ANY ($13))

-- name: trade_ids_newest_first
-- The ids of trades that fit a filter, before a place, newest first. Of one table, because to plan the joins of a whole
-- row for each filter takes several times as long as to find a page.
SELECT id FROM trade
WHERE {trade_fits}
    AND ($14::TIMESTAMPTZ IS NULL OR (traded_at, id) < ($14, $15::BIGINT))
ORDER BY traded_at DESC, id DESC
LIMIT $16;

-- name: trade_ids_oldest_first
-- The same after a place, oldest first.
SELECT id FROM trade
WHERE {trade_fits}
    AND ($14::TIMESTAMPTZ IS NULL OR (traded_at, id) > ($14, $15::BIGINT))
ORDER BY traded_at, id
LIMIT $16;

-- name: trades_by_ids
-- Some trades with everything about them, in any order.
SELECT * FROM oversight_trade WHERE id = ANY ($1::BIGINT[]);

-- name: trades_newest_first
-- Trades that fit a filter, before a place, newest first; a null limit means all.
SELECT * FROM oversight_trade
WHERE {trade_fits}
    AND ($14::TIMESTAMPTZ IS NULL OR (traded_at, id) < ($14, $15::BIGINT))
ORDER BY traded_at DESC, id DESC
LIMIT $16;

-- name: trades_oldest_first
-- Trades that fit a filter, after a place, oldest first; a null limit means all.
SELECT * FROM oversight_trade
WHERE {trade_fits}
    AND ($14::TIMESTAMPTZ IS NULL OR (traded_at, id) > ($14, $15::BIGINT))
ORDER BY traded_at, id
LIMIT $16;

-- name: count_trades
-- How many trades fit a filter; the view adds nothing that a filter asks for.
SELECT count(*) FROM trade
WHERE {trade_fits};

-- part: records_with_their_facts
-- Records, with what stands elsewhere of their owner, product, order, trade, key and engine.
SELECT record.id, record.code, record.event_at, record.received_at, record.partition_id, record.sequence,
    record.event_index, term.engine_version, record.actor_participant_id, record.key_id, key.algorithm, record.participant_id,
    owner.name AS participant_name, owner.region, record.trade_group_id, record.product_id, product.accelerator_id,
    accelerator.origin, cluster.hub_code, record.order_id, orders.client_order_id, orders.side, orders.price_ticks,
    record.trade_id, CASE record.order_id
        WHEN trade.bid_order_id THEN trade.ask_order_id WHEN trade.ask_order_id THEN trade.bid_order_id
    END AS counter_order_id, trade.aggressor, trade.fee_bps, record.subject_id, record.detail
FROM audit_record AS record
LEFT JOIN orders ON orders.id = record.order_id
LEFT JOIN participant AS owner ON owner.id = record.participant_id
LEFT JOIN product ON product.id = record.product_id
LEFT JOIN accelerator ON accelerator.id = product.accelerator_id
LEFT JOIN cluster ON cluster.code = product.cluster_code
LEFT JOIN trade ON trade.id = record.trade_id
LEFT JOIN api_key AS key ON key.id = record.key_id
LEFT JOIN LATERAL (
    SELECT engine_version FROM partition_term AS term
    WHERE term.partition_id = record.partition_id AND CASE
        WHEN record.sequence IS NULL THEN term.began_at <= record.event_at ELSE term.after_sequence < record.sequence END
    ORDER BY term.epoch DESC
    LIMIT 1
) AS term ON TRUE

-- part: record_fits
-- Whether a record, with its order, fits the filter in $1 to $13; null restricts nothing. Questions have a list of their own.
record.code NOT IN ('QURY', 'QURA')
    AND ($1::TIMESTAMPTZ IS NULL OR record.event_at >= $1)
    AND ($2::TIMESTAMPTZ IS NULL OR record.event_at < $2)
    AND ($3::TEXT[] IS NULL OR record.product_id = ANY ($3))
    AND ($4::BIGINT IS NULL OR record.participant_id = $4)
    AND ($5::BIGINT[] IS NULL OR record.participant_id = ANY ($5))
    AND ($6::BIGINT[] IS NULL OR record.participant_id = ANY ($6))
    AND ($7::BIGINT IS NULL OR record.order_id = $7)
    AND ($8::TEXT IS NULL OR orders.side = $8)
    AND ($9::TEXT IS NULL OR record.code = $9)
    AND ($10::BIGINT IS NULL OR orders.price_ticks >= $10)
    AND ($11::BIGINT IS NULL OR orders.price_ticks <= $11)
    AND ($12::BIGINT IS NULL OR EXISTS (
        SELECT FROM order_hold AS hold JOIN voucher ON voucher.id = hold.voucher_id
        WHERE hold.order_id = record.order_id AND voucher.programme_id = $12))
    AND ($13::BOOLEAN IS NULL OR (record.order_id IS NOT NULL AND $13 = EXISTS (
        SELECT FROM order_hold AS hold WHERE hold.order_id = record.order_id AND hold.voucher_id <> 0)))

-- name: events_newest_first
-- Records that fit a filter, before one, newest first; a null limit means all.
{records_with_their_facts}
WHERE {record_fits}
    AND ($14::BIGINT IS NULL OR record.id < $14)
ORDER BY record.id DESC
LIMIT $15;

-- name: events_oldest_first
-- Records that fit a filter, after one, oldest first; a null limit means all.
{records_with_their_facts}
WHERE {record_fits}
    AND ($14::BIGINT IS NULL OR record.id > $14)
ORDER BY record.id
LIMIT $15;

-- name: count_events
-- How many records fit a filter.
SELECT count(*)
FROM audit_record AS record
LEFT JOIN orders ON orders.id = record.order_id
WHERE {record_fits};

-- name: order_by_id
-- One order with its owner.
SELECT orders.*, owner.name AS participant_name, owner.trade_group_id
FROM orders JOIN participant AS owner ON owner.id = orders.participant_id
WHERE orders.id = $1;

-- name: steps_of_order
-- Every step of an order since it came, as they were written.
SELECT code, event_at, received_at, partition_id, sequence, event_index, actor_participant_id, key_id, trade_group_id,
    trade_id, detail
FROM audit_record
WHERE order_id = $1 AND event_at >= $2
ORDER BY id;

-- name: trades_of_order
-- The trades of an order, oldest first.
SELECT * FROM oversight_trade
WHERE bid_order_id = $1 OR ask_order_id = $1
ORDER BY traded_at, id;

-- name: trade_by_id
-- One trade with everything about it, and how far its hours are settled.
SELECT found.*, lease.next_settlement_hour, lease.failed_hours
FROM oversight_trade AS found JOIN lease ON lease.id = found.id
WHERE found.id = $1;

-- name: steps_of_trade
-- Every step of a trade and of its lease since it was made, as they were written.
SELECT code, event_at, received_at, partition_id, sequence, event_index, actor_participant_id, key_id, trade_group_id,
    trade_id, detail
FROM audit_record
WHERE trade_id = $1 AND event_at >= $2
ORDER BY id;

-- name: funding_of_trade
-- Where a trade's money came from, cash first, and what became of it.
SELECT part.*, voucher.programme_id, programme.code AS programme_code
FROM lease_funding AS part
LEFT JOIN voucher ON voucher.id = part.voucher_id
LEFT JOIN programme ON programme.id = voucher.programme_id
WHERE part.lease_id = $1
ORDER BY part.voucher_id;

-- name: outages_of_trade
-- The hours of a trade that its provider reported as failed.
SELECT delivery_hour, reason, reported_at FROM outage WHERE lease_id = $1 ORDER BY delivery_hour;

-- name: captures_of_trade
-- What vouchers paid for a trade's delivered hours.
SELECT * FROM voucher_capture WHERE lease_id = $1 ORDER BY delivery_hour, voucher_id;

-- name: voucher_by_id
-- One voucher with its programme and its buyer.
SELECT voucher.*, programme.code AS programme_code, buyer.name AS buyer_name
FROM voucher
JOIN programme ON programme.id = voucher.programme_id
JOIN participant AS buyer ON buyer.id = voucher.buyer_id
WHERE voucher.id = $1;

-- name: steps_of_voucher
-- Every step of a voucher after its issue.
SELECT * FROM voucher_step WHERE voucher_id = $1 ORDER BY number;

-- name: movements_of_voucher
-- What moved on a voucher's accounts after a transfer, oldest first.
SELECT moved.* FROM (
    SELECT * FROM ledger_transfer WHERE debit_account_id = ANY ($1::BIGINT[]) AND id > $2
    UNION
    SELECT * FROM ledger_transfer WHERE credit_account_id = ANY ($1) AND id > $2
) AS moved
ORDER BY moved.id
LIMIT $3;

-- name: partition_head
-- Where a partition stands, and where its journal begins.
SELECT head.last_sequence, head.last_event_at, head.last_hash, first.event_at AS first_event_at
FROM partition_head AS head
LEFT JOIN journal AS first ON first.partition_id = head.partition_id AND first.sequence = 1
WHERE head.partition_id = $1;

-- name: last_mark
-- The last mark of a partition at or before a sequence.
SELECT sequence, event_at, hash FROM book_mark
WHERE partition_id = $1 AND sequence <= $2
ORDER BY sequence DESC
LIMIT 1;

-- name: sequence_at
-- The last command of a partition at or before a time, found between two marks; null where there is none yet.
WITH mark AS (
    SELECT coalesce(max(sequence), 0) AS sequence FROM (
        SELECT sequence FROM book_mark WHERE partition_id = $1 AND event_at <= $2
        ORDER BY event_at DESC, sequence DESC LIMIT 1
    ) AS before
), next AS (
    SELECT min(sequence) AS sequence FROM (
        SELECT sequence FROM book_mark WHERE partition_id = $1 AND event_at > $2
        ORDER BY event_at, sequence LIMIT 1
    ) AS after
)
SELECT journal.sequence
FROM mark, next, journal
WHERE journal.partition_id = $1 AND journal.sequence >= mark.sequence
    AND journal.sequence <= coalesce(next.sequence, $3)
    AND journal.event_at <= $2
ORDER BY journal.sequence DESC
LIMIT 1;

-- name: stored_books
-- The latest stored book of some products at or before a mark.
SELECT wanted.product_id, stored.sequence, stored.book
FROM unnest($1::TEXT[]) AS wanted (product_id)
CROSS JOIN LATERAL (
    SELECT sequence, book FROM book_history
    WHERE book_history.product_id = wanted.product_id AND sequence <= $2
    ORDER BY sequence DESC
    LIMIT 1
) AS stored;

-- name: commands_between
-- A partition's journal after a sequence and up to another, oldest first; of one product, or of all.
SELECT sequence, product_id, event_at, command, events, hash
FROM journal
WHERE partition_id = $1 AND sequence > $2 AND sequence <= $3 AND ($4::TEXT IS NULL OR product_id = $4)
ORDER BY sequence;

-- name: claim_marking
-- Whether this transaction may mark the books of a partition: one process at a time.
SELECT pg_try_advisory_xact_lock(1651470187, $1);

-- name: insert_mark
-- Store a mark, with the books that changed since the one before it.
WITH marked AS (
    INSERT INTO book_mark (partition_id, sequence, event_at, hash) VALUES ($1, $2, $3, $4)
    RETURNING partition_id, sequence
)
INSERT INTO book_history (product_id, sequence, partition_id, book)
SELECT taken.product_id, marked.sequence, marked.partition_id, taken.book
FROM marked, unnest($5::TEXT[], $6::BYTEA[]) AS taken (product_id, book);

-- name: names_of_participants
-- Who some participants are.
SELECT id, name FROM participant WHERE id = ANY ($1::BIGINT[]);

-- name: client_ids_of_orders
-- The client order ids of some orders.
SELECT id, client_order_id FROM orders WHERE id = ANY ($1::BIGINT[]);

-- name: questions
-- Questions to the record, newest first, with what was answered; of one who asked, or of all. An answer has a later time
-- than its question, give or take what clocks of two processes differ by: so its month is known.
SELECT asked.id, asked.subject_id, asked.event_at, asked.actor_participant_id, asked.key_id, asked.detail,
    asker.name AS participant_name, answered.event_at AS answered_at, answered.detail AS answer
FROM audit_record AS asked
LEFT JOIN participant AS asker ON asker.id = asked.actor_participant_id
LEFT JOIN audit_record AS answered ON answered.code = 'QURA' AND answered.subject_id = asked.subject_id
    AND answered.event_at >= asked.event_at - INTERVAL '1 day'
WHERE asked.code = 'QURY' AND asked.id < $2 AND ($1::BIGINT IS NULL OR asked.actor_participant_id = $1)
ORDER BY asked.id DESC
LIMIT $3;

-- name: time_of_command
-- When a command of a partition was committed.
SELECT event_at FROM journal WHERE partition_id = $1 AND sequence = $2;

-- name: claim_position
-- Up to which transaction the record is summed up, for the one process that goes on from there.
SELECT xact_id::TEXT AS xact_id, event_at FROM report_position FOR UPDATE SKIP LOCKED;

-- name: hold_position
-- Up to which transaction the record is summed up, held still once who goes on from there has come to a rest.
SELECT xact_id::TEXT FROM report_position FOR UPDATE;

-- name: read_position
-- Up to which transaction the record is summed up, and the time of its last record.
SELECT xact_id::TEXT AS xact_id, event_at FROM report_position;

-- name: move_position
-- The record is summed up until before a transaction.
UPDATE report_position
SET xact_id = $2::TEXT::XID8, event_at = greatest(event_at, (
    SELECT max(record.event_at) FROM audit_record AS record
    WHERE record.xact_id >= $1::TEXT::XID8 AND record.xact_id < $2::TEXT::XID8));

-- name: sum_trades
-- Add the trades of some transactions.
INSERT INTO report_trade AS kept (
    day, product_id, buyer_id, provider_id, programmes, trades, gpu_hours, notional_fen, voucher_fen, reimbursable_fen)
SELECT trade.traded_at::DATE, trade.product_id, trade.buyer_id, trade.provider_id, cardinality(trade.programme_ids),
    count(*), sum(trade.quantity_gpus::BIGINT * (trade.ends_hour - trade.starts_hour)), sum(trade.notional_fen),
    sum(trade.voucher_fen), sum(trade.reimbursable_fen)
FROM audit_record AS record
JOIN trade ON trade.id = record.trade_id AND trade.bid_order_id = record.order_id
WHERE record.xact_id >= $1::TEXT::XID8 AND record.xact_id < $2::TEXT::XID8 AND record.code IN ('FILL', 'PARF')
GROUP BY 1, 2, 3, 4, 5
ON CONFLICT (day, product_id, buyer_id, provider_id, programmes) DO UPDATE SET
    trades = kept.trades + EXCLUDED.trades, gpu_hours = kept.gpu_hours + EXCLUDED.gpu_hours,
    notional_fen = kept.notional_fen + EXCLUDED.notional_fen, voucher_fen = kept.voucher_fen + EXCLUDED.voucher_fen,
    reimbursable_fen = kept.reimbursable_fen + EXCLUDED.reimbursable_fen;

-- name: sum_bids
-- Add the bids that ended in some transactions. A refused amendment, or a reduction, ends nothing. OFFSET keeps the first
-- fill a look at the bid's own trades: a plain min() would be planned as a walk through all trades by time.
INSERT INTO report_bid AS kept (
    day, product_id, buyer_id, status, reason, bids, wanted_gpu_hours, filled_gpu_hours, filled, waited_us, waited_0s,
    waited_1min, waited_1h, waited_1d, waited_longer)
SELECT record.event_at::DATE, bid.product_id, bid.participant_id, bid.status, bid.reason, count(*),
    sum(bid.quantity_gpus::BIGINT * bid.hours), sum(bid.filled_gpu_hours), count(wait.us), coalesce(sum(wait.us), 0),
    count(*) FILTER (WHERE wait.us = 0), count(*) FILTER (WHERE wait.us > 0 AND wait.us <= 60000000),
    count(*) FILTER (WHERE wait.us > 60000000 AND wait.us <= 3600000000),
    count(*) FILTER (WHERE wait.us > 3600000000 AND wait.us <= 86400000000),
    count(*) FILTER (WHERE wait.us > 86400000000)
FROM audit_record AS record
JOIN orders AS bid ON bid.id = record.order_id AND bid.side = 'buy'
CROSS JOIN LATERAL (
    SELECT (extract(epoch FROM min(fill.traded_at) - bid.created_at) * 1000000)::BIGINT AS us
    FROM (SELECT traded_at FROM trade WHERE trade.bid_order_id = bid.id OFFSET 0) AS fill
) AS wait
WHERE record.xact_id >= $1::TEXT::XID8 AND record.xact_id < $2::TEXT::XID8 AND (
    record.code IN ('FILL', 'CAME', 'EXPI')
    OR (record.code = 'REMO' AND record.detail ->> 'amendment' IS NULL)
    OR (record.code = 'REME' AND record.detail ->> 'replaced_by_order_id' IS NOT NULL))
GROUP BY 1, 2, 3, 4, 5
ON CONFLICT (day, product_id, buyer_id, status, reason) DO UPDATE SET
    bids = kept.bids + EXCLUDED.bids, wanted_gpu_hours = kept.wanted_gpu_hours + EXCLUDED.wanted_gpu_hours,
    filled_gpu_hours = kept.filled_gpu_hours + EXCLUDED.filled_gpu_hours, filled = kept.filled + EXCLUDED.filled,
    waited_us = kept.waited_us + EXCLUDED.waited_us, waited_0s = kept.waited_0s + EXCLUDED.waited_0s,
    waited_1min = kept.waited_1min + EXCLUDED.waited_1min, waited_1h = kept.waited_1h + EXCLUDED.waited_1h,
    waited_1d = kept.waited_1d + EXCLUDED.waited_1d, waited_longer = kept.waited_longer + EXCLUDED.waited_longer;

-- name: sum_refusals
-- Add the vouchers that could not pay for bids denied in some transactions; programme 0: nobody's that is known.
INSERT INTO report_refusal AS kept (day, buyer_id, programme_id, code, refusals)
SELECT record.event_at::DATE, bid.participant_id, coalesce(voucher.programme_id, 0), refusal.code, count(*)
FROM audit_record AS record
JOIN orders AS bid ON bid.id = record.order_id
CROSS JOIN LATERAL json_to_recordset(coalesce(bid.denial -> 'refusals', '[]')) AS refusal (voucher_id BIGINT, code TEXT)
LEFT JOIN voucher ON voucher.id = refusal.voucher_id
WHERE record.xact_id >= $1::TEXT::XID8 AND record.xact_id < $2::TEXT::XID8
    AND record.code = 'REMO' AND record.detail ->> 'amendment' IS NULL
GROUP BY 1, 2, 3, 4
ON CONFLICT (day, buyer_id, programme_id, code) DO UPDATE SET refusals = kept.refusals + EXCLUDED.refusals;

-- name: sum_programmes
-- Add what moved of programmes' money in some transactions.
WITH record AS (
    SELECT * FROM audit_record
    WHERE xact_id >= $1::TEXT::XID8 AND xact_id < $2::TEXT::XID8
        AND code IN ('VISS', 'VEXP', 'VREV', 'FILL', 'PARF', 'DLVR', 'CLMP')
), moved AS (
    SELECT record.event_at, voucher.programme_id, voucher.buyer_id AS participant_id,
        CASE record.code WHEN 'VISS' THEN 'issued' WHEN 'VEXP' THEN 'expired' ELSE 'revoked' END AS kind,
        CASE record.code WHEN 'VISS' THEN voucher.face_fen ELSE (record.detail ->> 'returned_fen')::BIGINT END AS fen
    FROM record JOIN voucher ON voucher.id = record.subject_id
    WHERE record.code IN ('VISS', 'VEXP', 'VREV')
    UNION ALL
    SELECT record.event_at, voucher.programme_id, voucher.buyer_id, 'committed', part.committed_fen
    FROM record
    JOIN trade ON trade.id = record.trade_id AND trade.bid_order_id = record.order_id
    JOIN lease_funding AS part ON part.lease_id = trade.id AND part.voucher_id <> 0
    JOIN voucher ON voucher.id = part.voucher_id
    WHERE record.code IN ('FILL', 'PARF')
    UNION ALL
    SELECT record.event_at, capture.programme_id, voucher.buyer_id, 'captured', capture.amount_fen
    FROM record
    JOIN voucher_capture AS capture ON capture.lease_id = record.trade_id
        AND capture.delivery_hour = (record.detail ->> 'delivery_hour')::INTEGER
    JOIN voucher ON voucher.id = capture.voucher_id
    WHERE record.code = 'DLVR'
    UNION ALL
    SELECT record.event_at, claim.programme_id, claim.claimant_id, 'paid', (record.detail ->> 'amount_fen')::BIGINT
    FROM record JOIN claim ON claim.id = record.subject_id
    WHERE record.code = 'CLMP'
)
INSERT INTO report_programme AS kept (day, programme_id, participant_id, kind, movements, amount_fen)
SELECT event_at::DATE, programme_id, participant_id, kind, count(*), sum(fen)
FROM moved
GROUP BY 1, 2, 3, 4
ON CONFLICT (day, programme_id, participant_id, kind) DO UPDATE SET
    movements = kept.movements + EXCLUDED.movements, amount_fen = kept.amount_fen + EXCLUDED.amount_fen;

-- name: sum_capacity
-- Add what was bought, delivered, failed or left idle by asks that ended, in some transactions, by day of delivery.
WITH record AS (
    SELECT * FROM audit_record
    WHERE xact_id >= $1::TEXT::XID8 AND xact_id < $2::TEXT::XID8
        AND code IN ('FILL', 'PARF', 'DLVR', 'REFD', 'CAME', 'EXPI', 'REME')
), added AS (
    SELECT day_of_hour(hour) AS day, trade.product_id, trade.provider_id, trade.quantity_gpus AS held, 0 AS delivered,
        0 AS failed, 0::BIGINT AS idle
    FROM record
    JOIN trade ON trade.id = record.trade_id AND trade.bid_order_id = record.order_id
    CROSS JOIN LATERAL generate_series(trade.starts_hour, trade.ends_hour - 1) AS hour
    WHERE record.code IN ('FILL', 'PARF')
    UNION ALL
    SELECT day_of_hour((record.detail ->> 'delivery_hour')::INTEGER), trade.product_id, trade.provider_id, 0,
        CASE record.code WHEN 'DLVR' THEN trade.quantity_gpus ELSE 0 END,
        CASE record.code WHEN 'REFD' THEN trade.quantity_gpus ELSE 0 END, 0
    FROM record JOIN trade ON trade.id = record.trade_id
    WHERE record.code IN ('DLVR', 'REFD')
    UNION ALL
    SELECT left_over.day, ask.product_id, ask.participant_id, 0, 0, 0, left_over.gpu_hours
    FROM record
    JOIN orders AS ask ON ask.id = record.order_id AND ask.side = 'sell'
    CROSS JOIN LATERAL idle_of_ask(ask.id, hour_at(record.event_at)) AS left_over
    WHERE record.code IN ('FILL', 'CAME', 'EXPI')
        OR (record.code = 'REME' AND record.detail ->> 'replaced_by_order_id' IS NOT NULL)
)
INSERT INTO report_capacity AS kept (
    day, product_id, provider_id, held_gpu_hours, delivered_gpu_hours, failed_gpu_hours, idle_gpu_hours)
SELECT day, product_id, provider_id, sum(held), sum(delivered), sum(failed), sum(idle)
FROM added
GROUP BY 1, 2, 3
ON CONFLICT (day, product_id, provider_id) DO UPDATE SET
    held_gpu_hours = kept.held_gpu_hours + EXCLUDED.held_gpu_hours,
    delivered_gpu_hours = kept.delivered_gpu_hours + EXCLUDED.delivered_gpu_hours,
    failed_gpu_hours = kept.failed_gpu_hours + EXCLUDED.failed_gpu_hours,
    idle_gpu_hours = kept.idle_gpu_hours + EXCLUDED.idle_gpu_hours;

-- name: clear_trades
-- Begin the summary anew: nothing is counted. Rows are kept, since who sums up may delete none.
UPDATE report_trade SET trades = 0, gpu_hours = 0, notional_fen = 0, voucher_fen = 0, reimbursable_fen = 0;

-- name: all_trades
-- Every row of the summary.
SELECT * FROM report_trade;

-- name: clear_bids
-- Begin the summary anew: nothing is counted. Rows are kept, since who sums up may delete none.
UPDATE report_bid SET bids = 0, wanted_gpu_hours = 0, filled_gpu_hours = 0, filled = 0, waited_us = 0, waited_0s = 0, waited_1min = 0,
    waited_1h = 0, waited_1d = 0, waited_longer = 0;

-- name: all_bids
-- Every row of the summary.
SELECT * FROM report_bid;

-- name: clear_refusals
-- Begin the summary anew: nothing is counted. Rows are kept, since who sums up may delete none.
UPDATE report_refusal SET refusals = 0;

-- name: all_refusals
-- Every row of the summary.
SELECT * FROM report_refusal;

-- name: clear_programmes
-- Begin the summary anew: nothing is counted. Rows are kept, since who sums up may delete none.
UPDATE report_programme SET movements = 0, amount_fen = 0;

-- name: all_programmes
-- Every row of the summary.
SELECT * FROM report_programme;

-- name: clear_capacity
-- Begin the summary anew: nothing is counted. Rows are kept, since who sums up may delete none.
UPDATE report_capacity SET held_gpu_hours = 0, delivered_gpu_hours = 0, failed_gpu_hours = 0, idle_gpu_hours = 0;

-- name: all_capacity
-- Every row of the summary.
SELECT * FROM report_capacity;

-- name: trades_by
-- Trades of some days by the parties' groups, regions and sizes, by what was traded, and by how many programmes paid.
SELECT (CASE $3::TEXT WHEN 'day' THEN kept.day WHEN 'month' THEN date_trunc('month', kept.day)::DATE ELSE $1 END) AS period,
    product.accelerator_id, accelerator.origin, cluster.hub_code, buyer.region AS buyer_region, home.hub_code AS home_hub,
    coalesce(buyer.trade_group_id, buyer.id) AS buyer_party, buyer.trade_group_id IS NOT NULL AS buyer_is_group,
    coalesce(provider.trade_group_id, provider.id) AS provider_party,
    provider.trade_group_id IS NOT NULL AS provider_is_group, kept.programmes,
    sum(kept.trades)::BIGINT AS trades, sum(kept.gpu_hours)::BIGINT AS gpu_hours,
    sum(kept.notional_fen)::BIGINT AS notional_fen, sum(kept.voucher_fen)::BIGINT AS voucher_fen,
    sum(kept.reimbursable_fen)::BIGINT AS reimbursable_fen
FROM report_trade AS kept
JOIN product ON product.id = kept.product_id
JOIN accelerator ON accelerator.id = product.accelerator_id
JOIN cluster ON cluster.code = product.cluster_code
JOIN participant AS buyer ON buyer.id = kept.buyer_id
JOIN participant AS provider ON provider.id = kept.provider_id
LEFT JOIN (
    SELECT replace(place.name, ' ', '-') AS region, min(cluster.hub_code) AS hub_code
    FROM cluster, regexp_split_to_table(lower(cluster.province), ', *') AS place (name)
    GROUP BY 1
    HAVING count(DISTINCT cluster.hub_code) = 1
) AS home ON home.region = buyer.region
WHERE kept.day >= $1::DATE AND kept.day < $2::DATE AND kept.trades > 0
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
ORDER BY 1, 2, 4, 5, 7, 9, 11;

-- name: bids_by
-- Bids that ended on some days, by their buyers' size.
SELECT (CASE $3::TEXT WHEN 'day' THEN kept.day WHEN 'month' THEN date_trunc('month', kept.day)::DATE ELSE $1 END) AS period,
    buyer.size_class, sum(kept.bids)::BIGINT AS bids,
    coalesce(sum(kept.bids) FILTER (WHERE kept.status = 'rejected'), 0)::BIGINT AS rejected,
    coalesce(sum(kept.wanted_gpu_hours) FILTER (WHERE kept.status <> 'rejected'), 0)::BIGINT AS wanted_gpu_hours,
    sum(kept.filled_gpu_hours)::BIGINT AS filled_gpu_hours, sum(kept.filled)::BIGINT AS filled,
    sum(kept.waited_us)::BIGINT AS waited_us, sum(kept.waited_0s)::BIGINT AS waited_0s,
    sum(kept.waited_1min)::BIGINT AS waited_1min, sum(kept.waited_1h)::BIGINT AS waited_1h,
    sum(kept.waited_1d)::BIGINT AS waited_1d, sum(kept.waited_longer)::BIGINT AS waited_longer
FROM report_bid AS kept JOIN participant AS buyer ON buyer.id = kept.buyer_id
WHERE kept.day >= $1::DATE AND kept.day < $2::DATE AND kept.bids > 0
GROUP BY 1, 2
ORDER BY 1, 2;

-- name: refusals_by
-- Vouchers that could not pay on some days, by programme and reason, and by their buyers' size, age and region.
SELECT (CASE $3::TEXT WHEN 'day' THEN kept.day WHEN 'month' THEN date_trunc('month', kept.day)::DATE ELSE $1 END) AS period,
    programme.id AS programme_id, programme.code AS programme_code, kept.code, buyer.size_class, buyer.region,
    extract(year FROM age(kept.day, buyer.founded_on))::INTEGER AS age_years, sum(kept.refusals)::BIGINT AS refusals
FROM report_refusal AS kept
JOIN participant AS buyer ON buyer.id = kept.buyer_id
LEFT JOIN programme ON programme.id = kept.programme_id
WHERE kept.day >= $1::DATE AND kept.day < $2::DATE AND kept.refusals > 0
GROUP BY 1, 2, 3, 4, 5, 6, 7
ORDER BY 1, 3, 4, 5, 6, 7;

-- name: programmes_by
-- Money of programmes that moved on some days, by whose it was: their size, age and region.
SELECT (CASE $3::TEXT WHEN 'day' THEN kept.day WHEN 'month' THEN date_trunc('month', kept.day)::DATE ELSE $1 END) AS period,
    programme.id AS programme_id, programme.code AS programme_code, programme.budget_fen, kept.kind,
    kept.participant_id, buyer.size_class, buyer.region,
    extract(year FROM age(kept.day, buyer.founded_on))::INTEGER AS age_years,
    sum(kept.movements)::BIGINT AS movements, sum(kept.amount_fen)::BIGINT AS amount_fen
FROM report_programme AS kept
JOIN programme ON programme.id = kept.programme_id
JOIN participant AS buyer ON buyer.id = kept.participant_id
WHERE kept.day >= $1::DATE AND kept.day < $2::DATE AND kept.movements > 0
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
ORDER BY 1, 3, 5, 6;

-- name: issued_before
-- What each programme had issued, less what came back, before a day.
SELECT programme_id, sum(CASE kind WHEN 'issued' THEN amount_fen ELSE -amount_fen END)::BIGINT AS amount_fen
FROM report_programme
WHERE day < $1::DATE AND kind IN ('issued', 'expired', 'revoked')
GROUP BY programme_id;

-- name: capacity_by
-- GPU-hours delivered on some days, held, delivered, failed and idle; of asks that still stand idle is counted now, up to
-- the hour that runs at a time.
WITH idle AS (
    SELECT left_over.day, ask.product_id, sum(left_over.gpu_hours) AS gpu_hours
    FROM orders AS ask
    CROSS JOIN LATERAL idle_of_ask(ask.id, hour_at($4)) AS left_over
    WHERE ask.side = 'sell' AND ask.status IN ('accepted', 'resting', 'partially_filled')
    GROUP BY 1, 2
), every AS (
    SELECT day, product_id, held_gpu_hours, delivered_gpu_hours, failed_gpu_hours, idle_gpu_hours FROM report_capacity
    UNION ALL
    SELECT day, product_id, 0, 0, 0, gpu_hours FROM idle
)
SELECT (CASE $3::TEXT WHEN 'day' THEN every.day WHEN 'month' THEN date_trunc('month', every.day)::DATE ELSE $1 END) AS period,
    product.accelerator_id, cluster.hub_code, sum(every.held_gpu_hours)::BIGINT AS held,
    sum(every.delivered_gpu_hours)::BIGINT AS delivered, sum(every.failed_gpu_hours)::BIGINT AS failed,
    sum(every.idle_gpu_hours)::BIGINT AS idle
FROM every
JOIN product ON product.id = every.product_id
JOIN cluster ON cluster.code = product.cluster_code
WHERE every.day >= $1::DATE AND every.day < $2::DATE
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3;
