"""Versions of the model: registered, promoted by rules, traced back and served."""
