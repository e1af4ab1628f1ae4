"""What is claimed of what vouchers paid: claims, their audit, payment and clawback."""
