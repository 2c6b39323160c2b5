"""How well routing and recognition do on labelled data: files, splits and the figures, all without a model."""
