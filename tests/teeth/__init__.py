"""Does each rule's test fail when the rule's code is taken out?"""
