"""What every domain needs and no domain owns: ids, clock, settings, database, audit, auth, HTTP."""
