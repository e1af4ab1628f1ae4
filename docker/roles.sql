-- Least privilege: who owns, who trades, who reads. Run by psql as a superuser, before the migrations and again
-- after each: the first run makes the roles, the second grants what they need on the tables.
--
--   exchange_owner    owns the tables; used by `exchange migrate` only
--   exchange_app      what the service runs as; what is insert-only it may insert and read, nothing more
--   exchange_auditor  reads everything but keys and stored answers
--
-- Passwords come from the environment (OWNER_PASSWORD, APP_PASSWORD, AUDITOR_PASSWORD); one that is not set leaves
-- its role without, for servers that authenticate otherwise. A test runs this file and tries what must fail.

\set ON_ERROR_STOP on
\getenv owner_password OWNER_PASSWORD
\getenv app_password APP_PASSWORD
\getenv auditor_password AUDITOR_PASSWORD
SET client_min_messages = warning;

SELECT format('CREATE ROLE %I LOGIN NOINHERIT', name)
FROM unnest(ARRAY['exchange_owner', 'exchange_app', 'exchange_auditor']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec

\if :{?owner_password}
ALTER ROLE exchange_owner PASSWORD :'owner_password';
\endif
\if :{?app_password}
ALTER ROLE exchange_app PASSWORD :'app_password';
\endif
\if :{?auditor_password}
ALTER ROLE exchange_auditor PASSWORD :'auditor_password';
\endif
ALTER ROLE exchange_auditor SET default_transaction_read_only = on;

-- By default everybody may connect and make temporary tables.
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database())
UNION ALL
SELECT format('GRANT CONNECT ON DATABASE %I TO exchange_owner, exchange_app, exchange_auditor', current_database())
UNION ALL
SELECT format('GRANT CREATE ON DATABASE %I TO exchange_owner', current_database())
\gexec
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO exchange_owner, exchange_app, exchange_auditor;
GRANT CREATE ON SCHEMA public TO exchange_owner;

SELECT to_regclass('public.schema_migration') IS NOT NULL AS migrated
\gset
\if :migrated

REVOKE ALL ON ALL TABLES IN SCHEMA public FROM exchange_app, exchange_auditor;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO exchange_app, exchange_auditor;
REVOKE SELECT ON api_key, idempotency_record FROM exchange_auditor;

-- Insert-only: the record of what happened.
GRANT INSERT ON
    journal, ledger_transfer, trade, outage, programme_version, programme_step, voucher_step, application_step,
    claim_step, claim_draw, claim_evidence, list_price, audit_record
TO exchange_app;

-- State: what the record adds up to, and who and what it is about.
GRANT INSERT, UPDATE ON
    trade_group, participant, api_key, idempotency_record,
    accelerator, hub, cluster, interconnect, product,
    asset,
    programme, programme_year_use, voucher, application, claim, voucher_capture,
    partition_head, book_snapshot, orders, order_hold,
    lease, lease_funding
TO exchange_app;

-- Balances are moved by a trigger on ledger_transfer, as the tables' owner. To lock an account takes the right to change
-- one of its columns: this one, which no account ever changes.
GRANT INSERT, UPDATE (created_at) ON ledger_account TO exchange_app;

-- What orders use of a programme is counted by triggers as well; to lock its rows takes the right to change a column, and
-- a trigger refuses every change that is not its own.
GRANT UPDATE (year) ON programme_use TO exchange_app;
GRANT USAGE ON SEQUENCE programme_version_ordinal TO exchange_app;

\endif
