"""Look at this machine and this project, and say what is in the way of the work and what to do about it."""
