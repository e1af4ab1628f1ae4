-- Named queries of the catalogue. Rows go in as one JSON array of objects whose keys are the columns.

-- name: upsert_accelerators
-- Write the accelerators of the catalogue, touching only rows that differ.
INSERT INTO accelerator AS stored
SELECT row.* FROM jsonb_populate_recordset(NULL::accelerator, $1::jsonb) AS row
ON CONFLICT (id) DO UPDATE SET
    (vendor, name, origin, memory_gb, fp16_dense_tflops_tenths, confidence, sources, note)
    = (excluded.vendor, excluded.name, excluded.origin, excluded.memory_gb, excluded.fp16_dense_tflops_tenths,
       excluded.confidence, excluded.sources, excluded.note)
WHERE stored IS DISTINCT FROM excluded;

-- name: upsert_hubs
-- Write the hubs of the catalogue, touching only rows that differ.
INSERT INTO hub AS stored
SELECT row.* FROM jsonb_populate_recordset(NULL::hub, $1::jsonb) AS row
ON CONFLICT (code) DO UPDATE SET (name_en, name_zh) = (excluded.name_en, excluded.name_zh)
WHERE stored IS DISTINCT FROM excluded;

-- name: upsert_clusters
-- Write the clusters of the catalogue, touching only rows that differ.
INSERT INTO cluster AS stored
SELECT row.* FROM jsonb_populate_recordset(NULL::cluster, $1::jsonb) AS row
ON CONFLICT (code) DO UPDATE SET
    (hub_code, name_en, name_zh, province)
    = (excluded.hub_code, excluded.name_en, excluded.name_zh, excluded.province)
WHERE stored IS DISTINCT FROM excluded;

-- name: upsert_interconnects
-- Write the interconnect classes of the catalogue, touching only rows that differ.
INSERT INTO interconnect AS stored
SELECT row.* FROM jsonb_populate_recordset(NULL::interconnect, $1::jsonb) AS row
ON CONFLICT (code) DO UPDATE SET (name, description) = (excluded.name, excluded.description)
WHERE stored IS DISTINCT FROM excluded;

-- name: upsert_products
-- List new products; of a listed one only the collar, the reference price and the horizon follow the catalogue.
INSERT INTO product AS stored
SELECT row.* FROM jsonb_populate_recordset(NULL::product, $1::jsonb) AS row
ON CONFLICT (id) DO UPDATE SET
    (collar_bps, reference_price_ticks, listing_horizon_hours)
    = (excluded.collar_bps, excluded.reference_price_ticks, excluded.listing_horizon_hours)
WHERE (stored.collar_bps, stored.reference_price_ticks, stored.listing_horizon_hours)
    IS DISTINCT FROM (excluded.collar_bps, excluded.reference_price_ticks, excluded.listing_horizon_hours);

-- name: lock_catalogue
-- Let one process at a time write the catalogue, until the transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended('exchange.products.catalogue', 0));

-- name: select_products
-- Products with origin and hub, narrowed by id, accelerator, origin, hub and interconnect where these are not null,
-- from after the id $6 on and at most $7 of them where those are not null.
SELECT product.id, accelerator_id, cluster_code, interconnect_code, lot_gpus, tick_fen, collar_bps,
       reference_price_ticks, listing_horizon_hours, partition_id, origin, hub_code
FROM product
JOIN accelerator ON accelerator.id = product.accelerator_id
JOIN cluster ON cluster.code = product.cluster_code
WHERE ($1::text IS NULL OR product.id = $1)
  AND ($2::text IS NULL OR accelerator_id = $2)
  AND ($3::text IS NULL OR origin = $3)
  AND ($4::text IS NULL OR hub_code = $4)
  AND ($5::text IS NULL OR interconnect_code = $5)
  AND ($6::text IS NULL OR product.id > $6)
ORDER BY product.id
LIMIT $7::integer;

-- name: select_accelerators
-- Every accelerator.
SELECT id, vendor, name, origin, memory_gb, fp16_dense_tflops_tenths, confidence, sources, note
FROM accelerator
ORDER BY id;

-- name: select_hubs
-- Every hub.
SELECT code, name_en, name_zh FROM hub ORDER BY code;

-- name: select_clusters
-- Every cluster.
SELECT code, hub_code, name_en, name_zh, province FROM cluster ORDER BY hub_code, code;

-- name: select_interconnects
-- Every interconnect class.
SELECT code, name, description FROM interconnect ORDER BY code;

-- name: lock_list_price
-- Let one transaction at a time publish a provider's list price of a product, until it ends.
SELECT pg_advisory_xact_lock(hashtextextended(format('exchange.products.list_price %s %s', $1::bigint, $2::text), 0));

-- name: latest_list_price
-- A provider's list price of a product.
SELECT provider_id, product_id, number, price_ticks, listed_at
FROM list_price
WHERE provider_id = $1 AND product_id = $2
ORDER BY number DESC
LIMIT 1;

-- name: insert_list_price
-- A further list price of a provider.
INSERT INTO list_price (provider_id, product_id, number, price_ticks, listed_at) VALUES ($1, $2, $3, $4, $5);

-- name: present_list_prices
-- The present list prices of one product, or of all where it is null, by product and provider, of providers after one.
SELECT DISTINCT ON (product_id, provider_id) provider_id, product_id, number, price_ticks, listed_at
FROM list_price
WHERE ($1::text IS NULL OR product_id = $1) AND provider_id > $2
ORDER BY product_id, provider_id, number DESC
LIMIT $3::integer;

-- name: list_prices_before
-- The list prices ever published for a product, newest first, of one provider where it is not null, before the one of
-- this time, provider and number where they are not null.
SELECT provider_id, product_id, number, price_ticks, listed_at
FROM list_price
WHERE product_id = $1 AND ($2::bigint IS NULL OR provider_id = $2)
  AND ($3::timestamptz IS NULL OR (listed_at, provider_id, number) < ($3, $4::bigint, $5::integer))
ORDER BY listed_at DESC, provider_id DESC, number DESC
LIMIT $6;
