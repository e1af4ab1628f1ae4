"""Accelerators, hubs, interconnects, the products made of them, and each product's trading phase."""
