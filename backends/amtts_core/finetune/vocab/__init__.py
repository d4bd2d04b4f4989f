"""Vocabulary extension: resizes every text-indexed tensor of a network together, by token string, and checks it.

`extend` is the whole operation (`amtts extend-vocab`), `resize` works on single tensors.
"""
