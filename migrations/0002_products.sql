-- What is traded: reviewed facts about accelerators and places, and the products made of them.

CREATE TABLE accelerator (
    id                        TEXT PRIMARY KEY CHECK (id ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
    vendor                    TEXT NOT NULL,
    name                      TEXT NOT NULL,
    origin                    TEXT NOT NULL CHECK (origin IN ('domestic', 'foreign')),
    memory_gb                 INTEGER CHECK (memory_gb > 0),
    fp16_dense_tflops_tenths  INTEGER CHECK (fp16_dense_tflops_tenths > 0),
    confidence                TEXT NOT NULL CHECK (confidence IN ('vendor', 'reported', 'disputed')),
    sources                   JSONB NOT NULL,
    note                      TEXT NOT NULL DEFAULT ''
);

CREATE TABLE hub (
    code     TEXT PRIMARY KEY CHECK (code ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
    name_en  TEXT NOT NULL,
    name_zh  TEXT NOT NULL
);

CREATE TABLE cluster (
    code      TEXT PRIMARY KEY CHECK (code ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
    hub_code  TEXT NOT NULL REFERENCES hub (code),
    name_en   TEXT NOT NULL,
    name_zh   TEXT NOT NULL,
    province  TEXT NOT NULL
);

CREATE TABLE interconnect (
    code         TEXT PRIMARY KEY CHECK (code ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
    name         TEXT NOT NULL,
    description  TEXT NOT NULL
);

CREATE TABLE product (
    id                     TEXT PRIMARY KEY CHECK (id ~ '^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9]+(-[a-z0-9]+)*){2}$'),
    accelerator_id         TEXT NOT NULL REFERENCES accelerator (id),
    cluster_code           TEXT NOT NULL REFERENCES cluster (code),
    interconnect_code      TEXT NOT NULL REFERENCES interconnect (code),
    lot_gpus               INTEGER NOT NULL CHECK (lot_gpus > 0),
    tick_fen               INTEGER NOT NULL DEFAULT 1 CHECK (tick_fen = 1),
    collar_bps             INTEGER NOT NULL CHECK (collar_bps > 0),
    reference_price_ticks  BIGINT NOT NULL CHECK (reference_price_ticks > 0),
    listing_horizon_hours  INTEGER NOT NULL CHECK (listing_horizon_hours BETWEEN 24 AND 8784),
    partition_id           INTEGER NOT NULL DEFAULT 1 CHECK (partition_id > 0),
    UNIQUE (accelerator_id, cluster_code, interconnect_code)
);
