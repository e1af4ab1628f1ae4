-- name: heads
-- Where every partition stands.
SELECT partition_id, last_sequence FROM partition_head ORDER BY partition_id;

-- name: last_trades
-- The latest trades of every product, oldest first.
SELECT latest.*
FROM product CROSS JOIN LATERAL (
    SELECT partition_id, sequence, product_id, traded_at, price_ticks, quantity_gpus, starts_hour, ends_hour,
        aggressor, id
    FROM trade WHERE trade.product_id = product.id
    ORDER BY traded_at DESC, id DESC LIMIT $1
) AS latest
ORDER BY latest.product_id, latest.traded_at, latest.id;

-- name: minute_volumes
-- What traded in each minute of the last day that has trades, by product.
SELECT product_id, date_trunc('minute', traded_at) AS minute, count(*) AS trades,
    sum(quantity_gpus::BIGINT * (ends_hour - starts_hour))::BIGINT AS gpu_hours,
    sum(notional_fen)::BIGINT AS notional_fen, min(price_ticks) AS low_ticks, max(price_ticks) AS high_ticks
FROM trade
WHERE traded_at >= (SELECT max(traded_at) FROM trade) - INTERVAL '1441 minutes'
GROUP BY product_id, minute
ORDER BY product_id, minute;

-- name: steps
-- What a partition committed after one sequence and through another, oldest first.
SELECT sequence, product_id, event_at, events
FROM journal WHERE partition_id = $1 AND sequence > $2 AND sequence <= $3
ORDER BY sequence
LIMIT $4;

-- name: live_orders_of_participant
-- A participant's live orders, newest first.
SELECT id, partition_id, client_order_id, product_id, side, status, quantity_gpus, starts_hour, ends_hour, hours,
    price_ticks, filled_gpus, filled_gpu_hours
FROM orders
WHERE participant_id = $1 AND status IN ('accepted', 'resting', 'partially_filled')
ORDER BY id DESC
LIMIT $2;
