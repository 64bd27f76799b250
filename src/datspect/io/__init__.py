"""File to object and back, no arithmetic."""
