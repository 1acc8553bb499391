"""Teaches the face detector that Mien ships: from a teacher's predictions to weights in the wheel.

`teacher_labels` asks the teacher about large, upright faces. `compose` shrinks, turns, cuts, darkens and hides them in
pictures whose truth is then known exactly, which is why a small student can pass its teacher where that one is weak.
`detector_network` and `training` make the student, `verifier` the second network that judges what the first one finds,
`detector_export` writes both, `report` judges them.
"""
