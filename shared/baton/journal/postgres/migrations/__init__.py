"""Changes of the journal's schema, in order; `baton journal migrate` carries them out."""
