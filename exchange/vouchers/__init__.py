"""Voucher programmes as data: issuance, holds, capture."""
