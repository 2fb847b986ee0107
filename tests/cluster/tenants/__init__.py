"""Does each tenant see its own rows, and no other's, whichever node serves it?"""
