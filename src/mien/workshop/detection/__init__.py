"""Teaches the face detector that Mien ships: from a teacher's opinion of unlabelled pictures to weights in the wheel.

`material` asks the teacher about large, upright faces. `compose` shrinks, turns, cuts, darkens and hides them in
pictures whose truth is then known exactly, which is why a small student can pass its teacher where that one is weak.
`network`, `losses` and `training` make the student, `export` writes it, `evaluation` and `report` judge it.
"""
