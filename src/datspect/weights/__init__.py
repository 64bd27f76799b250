"""Where the backbone's pretrained weights come from."""
