"""`roque hcam`: commands of the HiPERCAM pipeline by their own names, on files in the current folder.

They need neither record nor broker. A module has a command or a family of them: the declaration of their parameters, and
little more; what they compute is in the library.
"""
