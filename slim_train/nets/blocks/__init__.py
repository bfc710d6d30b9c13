"""Building blocks that several families of nets share. No nets are here."""
