"""What runs a campaign: parts and state that are kept, pages that are written."""
