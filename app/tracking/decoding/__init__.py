"""A request's body becomes one checked, columnar batch. Pure but for `intake`, which teaches the model new names."""
