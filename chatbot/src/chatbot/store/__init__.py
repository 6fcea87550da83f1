"""The only SQL. One file a noun; every statement about a tenant runs inside `Database.tenant`."""
