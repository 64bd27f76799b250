"""Register versions of the model, promote them by rules, trace them back and serve them."""
