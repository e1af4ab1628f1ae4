-- Named queries of a replay: how far it got, and the figures of its report. They only read.

-- name: products_of_orders_since
-- On which product each order since a time was placed, by its client order id.
SELECT client_order_id, product_id FROM orders WHERE created_at >= $1;

-- name: first_key_of_participant
-- The oldest key of a participant that is not revoked.
SELECT id FROM api_key WHERE participant_id = $1 AND revoked_at IS NULL ORDER BY id LIMIT 1;

-- name: order_counts
-- Orders by side, status and reason, with what they asked for and what they got.
SELECT side, status, reason, count(*) AS orders,
       sum(quantity_gpus::bigint * hours)::bigint AS gpu_hours,
       sum(filled_gpu_hours)::bigint AS filled_gpu_hours
FROM orders
GROUP BY side, status, reason
ORDER BY side, status, reason;

-- name: sold_by_ask
-- Every ask that the book took: what it offered, what its own row says it sold, and what its leases say.
SELECT ask.id, ask.quantity_gpus::bigint * (ask.ends_hour - ask.starts_hour) AS offered_gpu_hours,
       ask.filled_gpu_hours, coalesce(leased.gpu_hours, 0) AS leased_gpu_hours
FROM orders AS ask
LEFT JOIN (
    SELECT ask_order_id, sum(quantity_gpus::bigint * (ends_hour - starts_hour))::bigint AS gpu_hours
    FROM lease GROUP BY ask_order_id
) AS leased ON leased.ask_order_id = ask.id
WHERE ask.side = 'sell' AND ask.status <> 'rejected';

-- name: trade_totals
-- Fills, and what was paid against what the buyers would have paid.
SELECT count(*) AS fills,
       coalesce(sum(trade.quantity_gpus::bigint * (trade.ends_hour - trade.starts_hour)), 0)::bigint AS gpu_hours,
       coalesce(sum(trade.notional_fen), 0)::bigint AS paid_fen,
       coalesce(sum(bid.price_ticks * trade.quantity_gpus * (trade.ends_hour - trade.starts_hour)), 0)::bigint
           AS limit_fen
FROM trade JOIN orders AS bid ON bid.id = trade.bid_order_id;

-- name: runs_of_filled_bids
-- When each filled bid began to run.
SELECT client_order_id, run_starts_hour FROM orders WHERE side = 'buy' AND run_starts_hour IS NOT NULL;

-- name: journal_events
-- The journal of every partition, in order, for those who fold it.
SELECT partition_id, sequence, events FROM journal
WHERE (partition_id, sequence) > ($1, $2)
ORDER BY partition_id, sequence
LIMIT $3;

-- name: net_by_asset
-- What the balances of each asset come to; double entry makes it zero, posted and pending apart.
SELECT asset, sum(credits_posted_fen - debits_posted_fen)::bigint AS posted_fen,
       sum(credits_pending_fen - debits_pending_fen)::bigint AS pending_fen
FROM ledger_account GROUP BY asset ORDER BY asset;
