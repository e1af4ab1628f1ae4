"""Vouchers: issuance, which pay for an order, holds, capture."""
