"""The words that the encoder knows: third-party data; see NOTICE and LICENSE beside it."""
