"""Teaches the face detector that Mien ships: from a teacher's predictions to weights in the wheel.

`teacher_labels` asks the teacher about large, upright faces. `compose` shrinks, turns, cuts, darkens and hides them in
pictures whose truth is then known exactly, which is why a small student can pass its teacher where that one is weak.
`detector_network`, `losses` and `training` make the student, `detector_export` writes it, `evaluation` and `report`
judge it.
"""
