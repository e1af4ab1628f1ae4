-- name: totals
-- What the venue has come to so far, for the status line.
SELECT (SELECT count(*) FROM trade) AS trades,
       (SELECT coalesce(sum(quantity_gpus::bigint * (ends_hour - starts_hour)), 0)::bigint FROM trade) AS gpu_hours,
       (SELECT count(*) FROM lease WHERE next_settlement_hour < ends_hour) AS leases,
       (SELECT coalesce(sum(amount_fen), 0)::bigint FROM voucher_capture) AS captured_fen,
       (SELECT count(*) FROM claim WHERE status = 'paid') AS claims_paid;
