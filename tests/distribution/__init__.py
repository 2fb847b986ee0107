"""Is what strangers get whole: the source distribution, the wheel, and the version that all of it names?"""
