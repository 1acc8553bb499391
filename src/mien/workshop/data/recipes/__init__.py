"""Builds a data set out of several sources by a recipe: `mien data build`."""
