"""Commands that a person starts, outside the graph."""
