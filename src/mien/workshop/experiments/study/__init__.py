"""Studies: a file of trainings in, each run with each seed, one report of what they tell out."""
