-- name: plan_each_time
-- Plan the transaction's statements for the filters at hand: which index serves depends on what is given.
SET LOCAL plan_cache_mode = 'force_custom_plan';

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
    $1::TEXT IS NULL OR EXISTS (SELECT FROM product WHERE id = $1) AS product,
    $2::TEXT IS NULL OR EXISTS (SELECT FROM accelerator WHERE id = $2) AS accelerator,
    $4::TEXT IS NULL OR EXISTS (SELECT FROM hub WHERE code = $4) AS hub,
    $5::BIGINT IS NULL OR EXISTS (SELECT FROM participant WHERE id = $5) AS participant,
    $6::BIGINT IS NULL OR EXISTS (SELECT FROM participant WHERE id = $6) AS buyer,
    $7::BIGINT IS NULL OR EXISTS (SELECT FROM participant WHERE id = $7) AS provider,
    $8::BIGINT IS NULL OR EXISTS (SELECT FROM trade_group WHERE id = $8) AS trade_group,
    $9::BIGINT IS NULL OR EXISTS (SELECT FROM programme WHERE id = $9) AS programme;

-- name: trades_newest_first
-- Trades that fit a filter, before a place, newest first; a null limit means all.
SELECT * FROM oversight_trade
WHERE ($1::TIMESTAMPTZ IS NULL OR traded_at >= $1)
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
    AND ($13::TIMESTAMPTZ IS NULL OR (traded_at, id) < ($13, $14::BIGINT))
ORDER BY traded_at DESC, id DESC
LIMIT $15;

-- name: trades_oldest_first
-- Trades that fit a filter, after a place, oldest first; a null limit means all.
SELECT * FROM oversight_trade
WHERE ($1::TIMESTAMPTZ IS NULL OR traded_at >= $1)
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
    AND ($13::TIMESTAMPTZ IS NULL OR (traded_at, id) > ($13, $14::BIGINT))
ORDER BY traded_at, id
LIMIT $15;

-- name: order_by_id
-- One order with its owner.
SELECT orders.*, owner.name AS participant_name, owner.trade_group_id
FROM orders JOIN participant AS owner ON owner.id = orders.participant_id
WHERE orders.id = $1;

-- name: steps_of_order
-- Every step of an order, as they were written.
SELECT code, event_at, partition_id, sequence, event_index, actor_participant_id, key_id, trade_group_id, trade_id,
    detail
FROM audit_record
WHERE order_id = $1
ORDER BY id;

-- name: trades_of_order
-- The trades of an order, oldest first.
SELECT * FROM oversight_trade
WHERE bid_order_id = $1 OR ask_order_id = $1
ORDER BY traded_at, id;
