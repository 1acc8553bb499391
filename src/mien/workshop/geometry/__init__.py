"""The geometry network: faces asked of a teacher, views, training, evaluation, export."""
