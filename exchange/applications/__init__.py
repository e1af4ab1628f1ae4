"""Applications for vouchers: made by companies, decided by issuers or by the rules."""
