"""What a scheduler does: which keys are due, one look over all of them, and its report."""
