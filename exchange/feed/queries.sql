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
    sum(notional_fen)::BIGINT AS notional_fen, min(price_ticks) AS low_ticks, max(price_ticks) AS high_ticks,
    (array_agg(price_ticks ORDER BY sequence, id))[1] AS open_ticks
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

-- name: words_of_orders
-- The client order ids of some orders, and why they ended.
SELECT id, client_order_id, reason FROM orders WHERE id = ANY ($1::bigint[]);

-- name: trade_ids
-- Some participants' trades of a span of sequences, as they were made. Its times are what the indexes know.
SELECT id, sequence
FROM trade
WHERE partition_id = $1 AND sequence BETWEEN $2 AND $3 AND traded_at BETWEEN $5 AND $6
    AND (buyer_id = ANY ($4::bigint[]) OR provider_id = ANY ($4::bigint[]))
ORDER BY id;

-- name: bars_by_trade
-- What traded in each hour of the last $1 days that have trades and the day of the last one, by product.
SELECT product_id, floor(extract(epoch FROM traded_at) / 3600)::INTEGER AS starts_hour,
    floor(extract(epoch FROM traded_at) / 3600)::INTEGER + 1 AS ends_hour,
    (array_agg(price_ticks ORDER BY sequence, id))[1] AS open_ticks,
    (array_agg(price_ticks ORDER BY sequence, id))[count(*)] AS close_ticks,
    (array_agg(id ORDER BY sequence, id))[1] AS first_id, (array_agg(id ORDER BY sequence, id))[count(*)] AS last_id,
    min(sequence) AS first_sequence, max(sequence) AS last_sequence,
    max(price_ticks) AS high_ticks, min(price_ticks) AS low_ticks,
    sum(quantity_gpus::BIGINT * (ends_hour - starts_hour))::BIGINT AS gpu_hours,
    sum(notional_fen)::BIGINT AS notional_fen, count(*) AS trades
FROM trade
WHERE traded_at >= (
    SELECT date_trunc('day', max(traded_at), 'UTC') - make_interval(days => $1::INTEGER) FROM trade)
GROUP BY 1, 2;

-- name: bars_by_delivery
-- The trades whose delivery ends after $1 days before the day of the last trade, those with the same hours together.
-- What is delivered was sold at most 8,784 hours before.
SELECT product_id, starts_hour, ends_hour,
    (array_agg(price_ticks ORDER BY sequence, id))[1] AS open_ticks,
    (array_agg(price_ticks ORDER BY sequence, id))[count(*)] AS close_ticks,
    (array_agg(id ORDER BY sequence, id))[1] AS first_id, (array_agg(id ORDER BY sequence, id))[count(*)] AS last_id,
    min(sequence) AS first_sequence, max(sequence) AS last_sequence,
    max(price_ticks) AS high_ticks, min(price_ticks) AS low_ticks,
    sum(quantity_gpus::BIGINT * (ends_hour - starts_hour))::BIGINT AS gpu_hours,
    sum(notional_fen)::BIGINT AS notional_fen, count(*) AS trades
FROM trade,
    (SELECT date_trunc('day', max(traded_at), 'UTC') - make_interval(days => $1::INTEGER) AS at FROM trade) AS kept_from
WHERE traded_at >= kept_from.at - INTERVAL '8784 hours' AND ends_hour > extract(epoch FROM kept_from.at) / 3600
GROUP BY product_id, starts_hour, ends_hour;

-- name: spot_trades
-- The trades of the last $1 days that are delivered within $2 hours of the hour in which they were made, by product,
-- that hour and price. Of the parties two of each side, where there are two.
SELECT product_id, floor(extract(epoch FROM traded_at) / 3600)::INTEGER AS hour, price_ticks,
    sum(quantity_gpus::BIGINT * (ends_hour - starts_hour))::BIGINT AS gpu_hours, count(*) AS trades,
    ARRAY[min(buyer_id), max(buyer_id)] AS buyers, ARRAY[min(provider_id), max(provider_id)] AS providers
FROM trade
WHERE traded_at >= (
        SELECT date_trunc('day', max(traded_at), 'UTC') - make_interval(days => $1::INTEGER) FROM trade)
    AND ends_hour <= floor(extract(epoch FROM traded_at) / 3600) + $2::INTEGER
GROUP BY 1, 2, 3;
