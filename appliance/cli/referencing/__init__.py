"""How normal references are made."""
