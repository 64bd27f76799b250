"""A scan comes to MNI space: as its header says, as its voxels say, or not at all."""
