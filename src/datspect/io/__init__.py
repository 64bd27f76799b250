"""Read files into objects and write them back."""
