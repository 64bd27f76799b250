"""How work is started, shared out, watched and stopped."""
