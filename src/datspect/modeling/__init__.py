"""Networks: the frozen backbone, its features, the classifier heads and their training."""
