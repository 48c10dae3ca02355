"""Classify any number of images: names are found lazily, read in threads, classified in batches, and written
to a table that survives a kill.

    names     folders, patterns and lists -> names of images, one after the other
    reading   a name, or an image in memory -> a PIL image
    engine    batches of pixels -> probabilities, in eager PyTorch or the fastest engine
    stream    names -> results, in order, in constant memory
    journal   what of a table is done, on disk
    formats   the finished table: CSV, JSON lines, Parquet
    table     all of it: names -> a table
"""
