"""Does a real worker of django.tasks read as its tasks say?"""
