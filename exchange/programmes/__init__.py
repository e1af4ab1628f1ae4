"""Voucher programmes as data: their rules, what the rules say of an order, and the programmes' life."""
