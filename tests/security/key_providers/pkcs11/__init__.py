"""Master keys on an HSM."""
