"""Search for better settings: a file of ranges in, many short trainings on one shared study, a study file out."""
