"""Which configuration do the other services need to use the same databases?"""
