"""The only outside. One file a system, all alike: a small class, its errors turned into SourceError."""
