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

-- The catalogue may learn more about what is traded; where it comes from and where it stands are part of what was traded.
CREATE TRIGGER accelerator_is_what_it_was BEFORE UPDATE ON accelerator FOR EACH ROW
    WHEN (OLD.origin IS DISTINCT FROM NEW.origin) EXECUTE FUNCTION refuse_other();
CREATE TRIGGER cluster_is_what_it_was BEFORE UPDATE ON cluster FOR EACH ROW
    WHEN (OLD.hub_code IS DISTINCT FROM NEW.hub_code) EXECUTE FUNCTION refuse_other();
ALTER TABLE accelerator ENABLE ALWAYS TRIGGER accelerator_is_what_it_was;
ALTER TABLE cluster ENABLE ALWAYS TRIGGER cluster_is_what_it_was;

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
CREATE TRIGGER product_stays BEFORE DELETE OR TRUNCATE OR UPDATE OF id ON product
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_going();
ALTER TABLE product ENABLE ALWAYS TRIGGER product_stays;
CREATE TRIGGER product_is_what_it_was BEFORE UPDATE ON product FOR EACH ROW
    WHEN ((OLD.accelerator_id, OLD.cluster_code, OLD.interconnect_code)
        IS DISTINCT FROM (NEW.accelerator_id, NEW.cluster_code, NEW.interconnect_code))
    EXECUTE FUNCTION refuse_other();
ALTER TABLE product ENABLE ALWAYS TRIGGER product_is_what_it_was;
