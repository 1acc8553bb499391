"""The workshop: from labelled faces to a trained, compared and shipped model. Needs the extra `train`."""
