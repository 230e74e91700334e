"""What there is, as resources: one ComponentResource a file, data from `model`, no text made here."""
