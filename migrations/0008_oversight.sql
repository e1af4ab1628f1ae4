-- What a regulator asks of the trades: indexes in the order of venue time, and one row with everything.

-- Pages and exports walk (traded_at, id); a row's place never changes, so a cursor stays good under inserts.
CREATE INDEX trade_by_time ON trade (traded_at, id);
CREATE INDEX trade_of_buyer ON trade (buyer_id, traded_at, id);
CREATE INDEX trade_of_provider ON trade (provider_id, traded_at, id);
CREATE INDEX trade_of_programme ON trade USING gin (programme_ids) WHERE cardinality(programme_ids) > 0;
DROP INDEX trade_by_product;
CREATE INDEX trade_by_product ON trade (product_id, traded_at, id);

CREATE INDEX participant_of_trade_group ON participant (trade_group_id, id) WHERE trade_group_id IS NOT NULL;

-- A trade with its product, its orders and its parties. Parties are as they are registered now.
CREATE VIEW oversight_trade AS
SELECT
    trade.id, trade.partition_id, trade.sequence, trade.traded_at, trade.product_id,
    product.accelerator_id, accelerator.origin, cluster.hub_code, product.cluster_code, product.interconnect_code,
    trade.quantity_gpus, trade.starts_hour, trade.ends_hour, trade.price_ticks, trade.notional_fen,
    trade.voucher_fen, trade.reimbursable_fen, trade.programme_ids, paying.codes AS programme_codes, trade.fee_bps,
    trade.aggressor,
    trade.bid_order_id, bid.client_order_id AS bid_client_order_id,
    trade.ask_order_id, ask.client_order_id AS ask_client_order_id,
    trade.buyer_id, buyer.name AS buyer_name, buyer.size_class AS buyer_size_class, buyer.region AS buyer_region,
    buyer.trade_group_id AS buyer_trade_group_id, buyer_group.name AS buyer_trade_group_name,
    trade.provider_id, provider.name AS provider_name, provider.ownership AS provider_ownership,
    provider.region AS provider_region,
    provider.trade_group_id AS provider_trade_group_id, provider_group.name AS provider_trade_group_name
FROM trade
JOIN product ON product.id = trade.product_id
JOIN accelerator ON accelerator.id = product.accelerator_id
JOIN cluster ON cluster.code = product.cluster_code
JOIN orders AS bid ON bid.id = trade.bid_order_id
JOIN orders AS ask ON ask.id = trade.ask_order_id
JOIN participant AS buyer ON buyer.id = trade.buyer_id
JOIN participant AS provider ON provider.id = trade.provider_id
LEFT JOIN trade_group AS buyer_group ON buyer_group.id = buyer.trade_group_id
LEFT JOIN trade_group AS provider_group ON provider_group.id = provider.trade_group_id
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(programme.code ORDER BY named.position), '{}') AS codes
    FROM unnest(trade.programme_ids) WITH ORDINALITY AS named (id, position)
    JOIN programme ON programme.id = named.id
) AS paying;
