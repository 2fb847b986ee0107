"""Do the examples of the pages do what the pages say, on SQLite aliases?"""
