"""Moving all that is kept from one store to another; knows both by narrow ports."""
