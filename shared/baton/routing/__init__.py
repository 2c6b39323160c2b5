"""Which agent a text is for: classifiers, their calibration, and the recogniser."""
