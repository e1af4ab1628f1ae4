-- Least privilege: who owns, who trades, who reads. Run by psql as a superuser, before the migrations and again
-- after each: the first run makes the roles, the second grants what they need on the tables.
--
--   exchange_owner    owns the tables; used by `exchange migrate` only
--   exchange_app      what a single process runs as; what is insert-only it may insert and read, nothing more
--   exchange_engine   the same of several processes: who leads. It makes trades, and decides nothing about participants
--   exchange_gateway  who serves. It takes requests, and writes no order, no trade and no command
--   exchange_auditor  reads everything but keys, sessions, logins and stored answers; also what OVERSIGHT_DATABASE_URL
--                     may name, since the service answers regulators from what it can read
--   exchange_backup   copies the database, by its files (pg_basebackup) or its rows (pg_dump), and changes nothing
--
-- Passwords come from the environment (OWNER_PASSWORD, APP_PASSWORD, ENGINE_PASSWORD, GATEWAY_PASSWORD,
-- AUDITOR_PASSWORD, BACKUP_PASSWORD); one that is not set leaves its role without, for servers that authenticate
-- otherwise. A test runs this file and tries what must fail.
--
-- The server's log has every statement of people, who have no need to hurry: of the owner, the auditor and the backup. Of
-- the service it has what was refused.

\set ON_ERROR_STOP on
\getenv owner_password OWNER_PASSWORD
\getenv app_password APP_PASSWORD
\getenv engine_password ENGINE_PASSWORD
\getenv gateway_password GATEWAY_PASSWORD
\getenv auditor_password AUDITOR_PASSWORD
\getenv backup_password BACKUP_PASSWORD
SET client_min_messages = warning;
-- What follows has passwords in it, which no log needs.
SET log_statement = 'none';

SELECT format('CREATE ROLE %I LOGIN NOINHERIT', name)
FROM unnest(ARRAY[
    'exchange_owner', 'exchange_app', 'exchange_engine', 'exchange_gateway', 'exchange_auditor', 'exchange_backup'
]) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec

\if :{?owner_password}
ALTER ROLE exchange_owner PASSWORD :'owner_password';
\endif
\if :{?app_password}
ALTER ROLE exchange_app PASSWORD :'app_password';
\endif
\if :{?engine_password}
ALTER ROLE exchange_engine PASSWORD :'engine_password';
\endif
\if :{?gateway_password}
ALTER ROLE exchange_gateway PASSWORD :'gateway_password';
\endif
\if :{?auditor_password}
ALTER ROLE exchange_auditor PASSWORD :'auditor_password';
\endif
\if :{?backup_password}
ALTER ROLE exchange_backup PASSWORD :'backup_password';
\endif
ALTER ROLE exchange_auditor SET default_transaction_read_only = on;
ALTER ROLE exchange_backup REPLICATION;
ALTER ROLE exchange_backup SET default_transaction_read_only = on;
GRANT pg_read_all_data TO exchange_backup WITH INHERIT TRUE;
ALTER ROLE exchange_owner SET log_statement = 'all';
ALTER ROLE exchange_auditor SET log_statement = 'all';
ALTER ROLE exchange_backup SET log_statement = 'all';

-- By default everybody may connect and make temporary tables.
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database())
UNION ALL
SELECT format(
    'GRANT CONNECT ON DATABASE %I TO exchange_owner, exchange_app, exchange_engine, exchange_gateway, exchange_auditor,'
    ' exchange_backup', current_database())
UNION ALL
SELECT format('GRANT CREATE ON DATABASE %I TO exchange_owner', current_database())
\gexec
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public
TO exchange_owner, exchange_app, exchange_engine, exchange_gateway, exchange_auditor, exchange_backup;
GRANT CREATE ON SCHEMA public TO exchange_owner;

SELECT to_regclass('public.schema_migration') IS NOT NULL AS migrated
\gset
\if :migrated

REVOKE ALL ON ALL TABLES IN SCHEMA public FROM exchange_app, exchange_engine, exchange_gateway, exchange_auditor;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO exchange_app, exchange_engine, exchange_gateway, exchange_auditor;
REVOKE SELECT ON api_key, console_session, console_login, idempotency_record FROM exchange_auditor;
GRANT SELECT (id, participant_id, label, algorithm, maker_key_id, created_at) ON api_key TO exchange_auditor;
-- Nobody goes round the audit record to one of its partitions; those made later begin with no rights at all.
SELECT format('REVOKE ALL ON %s FROM exchange_app, exchange_engine, exchange_gateway, exchange_auditor', inhrelid::regclass)
FROM pg_inherits WHERE inhparent = 'audit_record'::regclass
\gexec

-- Insert-only: the record of what happened. The audit record by column, so that no writer chooses a record's number or the
-- transaction that it is said to be of.
GRANT INSERT ON journal, trade, partition_term TO exchange_app, exchange_engine;
GRANT INSERT ON
    outage, programme_version, programme_step, application_step, claim_step, claim_draw, claim_evidence, list_price,
    alert_step, book_mark, book_history, audit_block, audit_key
TO exchange_app, exchange_gateway;
GRANT INSERT ON ledger_transfer, voucher_step, alert_rules TO exchange_app, exchange_engine, exchange_gateway;
-- Whoever starts first makes the first operator, and begins to follow the record for alerts.
GRANT INSERT ON participant, alert_position TO exchange_engine;
GRANT INSERT (
    partition_id, sequence, event_index, code, event_at, received_at, actor_participant_id, key_id, participant_id,
    trade_group_id, product_id, order_id, trade_id, subject_id, detail
) ON audit_record TO exchange_app, exchange_engine, exchange_gateway;
GRANT EXECUTE ON FUNCTION make_audit_months TO exchange_app, exchange_engine, exchange_gateway;

-- State: what the record adds up to, and who and what it is about.
GRANT INSERT, UPDATE ON
    partition_head, partition_lease, book_snapshot, orders, order_hold
TO exchange_app, exchange_engine;
GRANT INSERT, UPDATE ON
    trade_group, participant, console_session, console_login, asset, programme, programme_year_use, application, claim,
    alert, alert_position, report_position, report_trade, report_bid, report_refusal, report_programme, report_capacity
TO exchange_app, exchange_gateway;
GRANT INSERT, UPDATE ON
    api_key, idempotency_record, accelerator, hub, cluster, interconnect, product, voucher, voucher_capture, cancel_switch,
    lease, lease_funding, process
TO exchange_app, exchange_engine, exchange_gateway;

-- Balances are moved by a trigger on ledger_transfer, as the tables' owner. To lock an account takes the right to change
-- one of its columns: this one, which no account ever changes.
GRANT INSERT, UPDATE (created_at) ON ledger_account TO exchange_app, exchange_engine, exchange_gateway;

-- What orders use of a programme is counted by triggers as well; to lock its rows takes the right to change a column, and
-- a trigger refuses every change that is not its own.
GRANT UPDATE (year) ON programme_use TO exchange_app, exchange_engine, exchange_gateway;
GRANT USAGE ON SEQUENCE programme_version_ordinal, process_number TO exchange_app, exchange_engine, exchange_gateway;

-- The only rows that are ever deleted: what tells that a signed request is new, once no such request could be, sessions
-- and login codes that open nothing any more, and what processes that have stopped said of themselves.
GRANT DELETE ON console_session, console_login TO exchange_app, exchange_gateway;
GRANT DELETE ON process TO exchange_app, exchange_engine, exchange_gateway;
GRANT INSERT, DELETE, UPDATE (expires_at) ON request_nonce TO exchange_app, exchange_engine, exchange_gateway;

\endif
