-- name: write_batch
-- Holds as they stand ($1), the trades of a batch ($2), the lease of each, and where its money came from ($3). What a
-- hold or a part of the money has as most do is not sent.
WITH placed AS (
    INSERT INTO order_hold AS hold (
        order_id, voucher_id, position, programme_version, cap_year, source_account_id, escrow_account_id, placed_fen,
        committed_fen, released_fen)
    SELECT order_id, voucher_id, position, coalesce(programme_version, 0), cap_year, source_account_id, escrow_account_id,
        placed_fen, coalesce(committed_fen, 0), coalesce(released_fen, 0)
    FROM json_to_recordset($1::JSON) AS sent (
        order_id BIGINT, voucher_id BIGINT, position SMALLINT, programme_version INTEGER, cap_year INTEGER,
        source_account_id BIGINT, escrow_account_id BIGINT, placed_fen BIGINT, committed_fen BIGINT, released_fen BIGINT)
    ON CONFLICT (order_id, voucher_id) DO UPDATE
    SET committed_fen = EXCLUDED.committed_fen, released_fen = EXCLUDED.released_fen
), sent AS MATERIALIZED (
    SELECT *
    FROM json_to_recordset($2::JSON) AS sent (
        trade_id BIGINT, partition_id INTEGER, sequence BIGINT, product_id TEXT, bid_order_id BIGINT,
        ask_order_id BIGINT, buyer_id BIGINT, provider_id BIGINT, aggressor TEXT, quantity_gpus INTEGER,
        starts_hour INTEGER, ends_hour INTEGER, price_ticks BIGINT, notional_fen BIGINT, voucher_fen BIGINT,
        reimbursable_fen BIGINT, programme_ids BIGINT[], fee_bps INTEGER)
), traded AS (
    INSERT INTO trade (
        id, partition_id, sequence, product_id, bid_order_id, ask_order_id, buyer_id, provider_id, aggressor,
        quantity_gpus, starts_hour, ends_hour, price_ticks, notional_fen, voucher_fen, reimbursable_fen, programme_ids,
        fee_bps, traded_at)
    SELECT sent.*, $4::TIMESTAMPTZ FROM sent
), leased AS (
    INSERT INTO lease (
        id, partition_id, product_id, ask_order_id, buyer_id, provider_id, quantity_gpus, starts_hour, ends_hour,
        price_ticks, fee_bps, next_settlement_hour, created_at)
    SELECT trade_id, partition_id, product_id, ask_order_id, buyer_id, provider_id, quantity_gpus, starts_hour,
        ends_hour, price_ticks, fee_bps, starts_hour, $4::TIMESTAMPTZ
    FROM sent
)
INSERT INTO lease_funding (
    lease_id, voucher_id, programme_version, reimbursed, source_account_id, escrow_account_id, committed_fen)
SELECT lease_id, voucher_id, coalesce(programme_version, 0), coalesce(reimbursed, FALSE), source_account_id,
    escrow_account_id, committed_fen
FROM json_to_recordset($3::JSON) AS part (
    lease_id BIGINT, voucher_id BIGINT, programme_version INTEGER, reimbursed BOOLEAN, source_account_id BIGINT,
    escrow_account_id BIGINT, committed_fen BIGINT);

-- name: live_holds
-- The holds of a partition's live bids, in spending order.
SELECT hold.*, account.asset, coalesce(voucher.programme_id, 0) AS programme_id
FROM order_hold AS hold
JOIN orders ON orders.id = hold.order_id
JOIN ledger_account AS account ON account.id = hold.source_account_id
LEFT JOIN voucher ON voucher.id = hold.voucher_id
WHERE orders.partition_id = $1 AND orders.status IN ('accepted', 'resting', 'partially_filled')
ORDER BY hold.order_id, hold.position;

-- name: holds_of_bids
-- The holds of some bids, in spending order.
SELECT hold.*, account.asset, coalesce(voucher.programme_id, 0) AS programme_id
FROM order_hold AS hold
JOIN ledger_account AS account ON account.id = hold.source_account_id
LEFT JOIN voucher ON voucher.id = hold.voucher_id
WHERE hold.order_id = ANY ($1::bigint[])
ORDER BY hold.order_id, hold.position;

-- name: holds_of_orders
-- What some orders have set aside, in spending order.
SELECT hold.order_id, hold.voucher_id, hold.placed_fen, hold.committed_fen, hold.released_fen
FROM order_hold AS hold
WHERE hold.order_id = ANY ($1::bigint[])
ORDER BY hold.order_id, hold.position;

-- name: fills_of_orders
-- The trades of some orders, oldest first.
SELECT trade.*
FROM trade
WHERE trade.bid_order_id = ANY ($1::bigint[]) OR trade.ask_order_id = ANY ($1::bigint[])
ORDER BY trade.id;

-- name: plan_each_time
-- Plan the transaction's statements for the filters at hand: which index serves depends on what is given.
SET LOCAL plan_cache_mode = 'force_custom_plan';

-- name: trades_of_participant
-- A page of a buyer's ($2) or else a provider's trades, newest first, each with the participant's own order. A lease has
-- its trade's id, and is found by who bought or sold it.
SELECT trade.*, own.client_order_id
FROM lease
JOIN trade ON trade.id = lease.id
JOIN orders AS own ON own.id = CASE WHEN $2::boolean THEN trade.bid_order_id ELSE trade.ask_order_id END
WHERE CASE WHEN $2 THEN lease.buyer_id = $1 ELSE lease.provider_id = $1 END
    AND lease.id < $3
    AND ($4::text IS NULL OR trade.product_id = $4)
    AND ($5::bigint IS NULL OR CASE WHEN $2 THEN trade.bid_order_id = $5 ELSE trade.ask_order_id = $5 END)
    AND ($6::timestamptz IS NULL OR trade.traded_at >= $6)
    AND ($7::timestamptz IS NULL OR trade.traded_at < $7)
ORDER BY lease.id DESC
LIMIT $8;

-- name: due_leases
-- Leases with an unsettled hour up to $2, locked against a late outage report.
SELECT id, product_id, buyer_id, provider_id, quantity_gpus, starts_hour, ends_hour, price_ticks, fee_bps,
    next_settlement_hour, failed_hours, fee_fen
FROM lease
WHERE partition_id = $1 AND next_settlement_hour <= $2 AND next_settlement_hour < ends_hour
ORDER BY id
FOR UPDATE;

-- name: funding_of_leases
-- The escrowed parts of some leases, cash first, with the programme of each voucher.
SELECT funding.*, account.asset, coalesce(voucher.programme_id, 0) AS programme_id
FROM lease_funding AS funding
JOIN ledger_account AS account ON account.id = funding.source_account_id
LEFT JOIN voucher ON voucher.id = funding.voucher_id
WHERE funding.lease_id = ANY ($1::bigint[])
ORDER BY funding.lease_id, (funding.voucher_id <> 0), voucher.expires_at, funding.voucher_id;

-- name: outages_of_leases
-- The hours of some leases that their providers reported as failed.
SELECT lease_id, delivery_hour, reason FROM outage WHERE lease_id = ANY ($1::bigint[]) ORDER BY lease_id, delivery_hour;

-- name: advance_leases
-- Hours settled and hours failed so far, and the fee taken.
UPDATE lease
SET next_settlement_hour = settled.next_settlement_hour, failed_hours = settled.failed_hours, fee_fen = settled.fee_fen
FROM unnest($1::bigint[], $2::integer[], $3::integer[], $4::bigint[])
    AS settled (id, next_settlement_hour, failed_hours, fee_fen)
WHERE lease.id = settled.id;

-- name: advance_lease_funding
-- What each part has paid out and given back so far.
UPDATE lease_funding AS funding
SET captured_fen = settled.captured_fen, returned_fen = settled.returned_fen
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])
    AS settled (lease_id, voucher_id, captured_fen, returned_fen)
WHERE funding.lease_id = settled.lease_id AND funding.voucher_id = settled.voucher_id;

-- name: leases_of_participant
-- A page of a buyer's or a provider's leases, newest first: all, of a product, or of some statuses at an hour ($6), as
-- `lease_status` tells them.
SELECT lease.*, buyer.name AS buyer, provider.name AS provider, money.captured_fen, money.returned_fen
FROM lease
JOIN participant AS buyer ON buyer.id = lease.buyer_id
JOIN participant AS provider ON provider.id = lease.provider_id
CROSS JOIN LATERAL (
    SELECT sum(captured_fen)::bigint AS captured_fen, sum(returned_fen)::bigint AS returned_fen
    FROM lease_funding WHERE lease_funding.lease_id = lease.id
) AS money
WHERE (lease.buyer_id = $1 OR lease.provider_id = $1) AND lease.id < $2
    AND ($4::text IS NULL OR lease.product_id = $4)
    AND ($5::text[] IS NULL OR CASE
        WHEN lease.next_settlement_hour >= lease.ends_hour THEN 'settled'
        WHEN lease.ends_hour <= $6::integer THEN 'ended'
        WHEN lease.starts_hour <= $6 THEN 'running'
        ELSE 'scheduled' END = ANY ($5))
ORDER BY lease.id DESC
LIMIT $3;

-- name: lease_of_participant
-- One lease, if it is the participant's own.
SELECT lease.*, buyer.name AS buyer, provider.name AS provider, money.captured_fen, money.returned_fen
FROM lease
JOIN participant AS buyer ON buyer.id = lease.buyer_id
JOIN participant AS provider ON provider.id = lease.provider_id
CROSS JOIN LATERAL (
    SELECT sum(captured_fen)::bigint AS captured_fen, sum(returned_fen)::bigint AS returned_fen
    FROM lease_funding WHERE lease_funding.lease_id = lease.id
) AS money
WHERE lease.id = $1 AND (lease.buyer_id = $2 OR lease.provider_id = $2);

-- name: lock_lease
-- A provider's own lease, held still while an outage of it is recorded.
SELECT id, product_id, buyer_id, starts_hour, ends_hour, next_settlement_hour
FROM lease WHERE id = $1 AND provider_id = $2
FOR UPDATE;

-- name: insert_outages
-- Reported hours; an hour already reported stays as it was first reported.
INSERT INTO outage (lease_id, delivery_hour, reason, reported_by, reported_at)
SELECT $1, hour, $3, $4, $5 FROM unnest($2::integer[]) AS hour
ON CONFLICT DO NOTHING;

-- name: own_asks
-- A provider's asks over some hours ($2 to before $3), and until when their hours were on offer: what began before an ask
-- ended was. With the rectangles that each has sold.
SELECT ask.product_id, ask.quantity_gpus, ask.starts_hour, ask.ends_hour, ask.is_live,
    CASE WHEN ask.is_live THEN ask.ends_hour ELSE least(ask.ends_hour, ask.ended_in_hour + 1) END AS offered_until_hour,
    load.starts_hours, load.ends_hours, load.sold_gpus
FROM (
    SELECT id, product_id, quantity_gpus, starts_hour, ends_hour,
        status IN ('accepted', 'resting', 'partially_filled') AS is_live,
        floor(extract(epoch FROM updated_at) / 3600)::integer AS ended_in_hour
    FROM orders
    WHERE participant_id = $1 AND side = 'sell' AND ends_hour > $2 AND starts_hour < $3 AND status <> 'rejected'
        AND ($4::text IS NULL OR product_id = $4)
) AS ask
CROSS JOIN LATERAL (
    SELECT array_agg(starts_hour) AS starts_hours, array_agg(ends_hour) AS ends_hours, array_agg(sold_gpus) AS sold_gpus
    FROM ask_load
    WHERE ask_load.ask_order_id = ask.id AND ask_load.ends_hour > $2 AND ask_load.starts_hour < $3
) AS load;

-- name: sold_spans
-- What a provider's asks sold of some hours ($2 to before $3): leases alike in product, window and settlement together.
SELECT lease.product_id, lease.starts_hour, lease.ends_hour, lease.next_settlement_hour,
    sum(lease.quantity_gpus)::bigint AS gpus, sum(lease.quantity_gpus * lease.price_ticks)::bigint AS fen_per_hour
FROM orders AS ask
JOIN trade ON trade.ask_order_id = ask.id
JOIN lease ON lease.id = trade.id
WHERE ask.participant_id = $1 AND ask.side = 'sell' AND ask.ends_hour > $2 AND ask.starts_hour < $3
    AND lease.ends_hour > $2 AND lease.starts_hour < $3 AND ($4::text IS NULL OR ask.product_id = $4)
GROUP BY 1, 2, 3, 4;

-- name: failed_hours
-- Hours ($2 to before $3) that a provider reported as not delivered, by product, and whether they are settled.
SELECT lease.product_id, outage.delivery_hour, outage.delivery_hour < lease.next_settlement_hour AS is_settled,
    sum(lease.quantity_gpus)::bigint AS gpus, sum(lease.quantity_gpus * lease.price_ticks)::bigint AS fen
FROM orders AS ask
JOIN trade ON trade.ask_order_id = ask.id
JOIN lease ON lease.id = trade.id
JOIN outage ON outage.lease_id = lease.id AND outage.delivery_hour >= $2 AND outage.delivery_hour < $3
WHERE ask.participant_id = $1 AND ask.side = 'sell' AND ask.ends_hour > $2 AND ask.starts_hour < $3
    AND ($4::text IS NULL OR ask.product_id = $4)
GROUP BY 1, 2, 3;
