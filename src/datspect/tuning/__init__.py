"""Search for better values of the classifier and its learning rates, on the development folds alone."""
