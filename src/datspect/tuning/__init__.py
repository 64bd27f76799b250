"""Searches over the classifier and its learning rates, on the development folds alone."""
