"""What the commands do, one module each; `cli` only reads their arguments."""
