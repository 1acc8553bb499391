"""Finds what is wrong with a data set, keeps what people decide of it, and builds data sets from several sources."""
