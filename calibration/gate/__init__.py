"""The accuracy gate: INT8 ships only where it costs nothing that matters."""
