"""The interfaces of other packages over Mien's pipeline: a caller changes one import."""
