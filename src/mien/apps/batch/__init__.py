"""Millions of pictures and thousands of videos on many machines: `mien batch`, over Ray Data.

`inputs` finds what there is to read, `plan` divides it into units that are kept in the output, `storage` opens folders
and buckets, `unit_reader` reads one unit in a worker and writes its partitions, `run` drives the workers.

A unit is whole once its rows are there under its own name, and whoever reads it again writes the same file. So a killed
worker, machine or driver costs the units in progress, and `--resume` reads just those that are missing.
"""
