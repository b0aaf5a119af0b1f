"""The registry's own commands: a module each. No stage imports them."""
