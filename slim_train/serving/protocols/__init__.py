"""What clients speak: one module a protocol, each a function that makes its routes."""
