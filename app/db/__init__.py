"""The one database: engine, pool, sessions, the embedded server."""
