"""Go from a scan to an answer: what the model says of it, what that is worth, and why."""
