"""What is measured? Each module here is a group: `SETTINGS` of its site, and `measure(take)`.

`measure` calls `take` with the contestants, in the surroundings in which they are to run.
"""
