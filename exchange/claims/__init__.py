"""What providers claim of what vouchers paid: claims, their audit, payment and clawback."""
