"""The only SQL of the responder. One file a noun; `due.py` claims the rows whose time has come."""
