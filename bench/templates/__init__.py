"""Starting files that work as they are. `bench new` writes them under another name.

`starting-point` is replaced, and with it `starting_point`, `StartingPoint` and the import of a
test's subject. What is named after it has a suffix that no import has, so that any name will do. A
test stands beside its subject as NAME_test.
"""
