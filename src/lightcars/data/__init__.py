"""Data sets: layouts on disk, records, decoded images, Stanford Cars."""
