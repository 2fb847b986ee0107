"""How does an operator see the clusters and steer them, in a browser?"""
